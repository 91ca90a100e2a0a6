import type { Command } from 'commander'
import { clientCommand, type CommonFlags } from './command.ts'
import { connect } from './connect.ts'
import { cell, formatAge, paint, printJson, printTable } from './format.ts'
import type { Io } from './io.ts'

export function runnersCommand(io: Io): Command {
  return clientCommand('runners', 'the runners: which are there, since when, and how busy they are', io).action(
    async (flags: CommonFlags) => {
      const { items } = await connect(flags, io).listRunners()
      if (flags.json === true) {
        printJson(io, { items })
        return
      }
      const rows = items.map(({ runner, status, since, slots, busy, labels, seenAt }) => [
        cell(runner, 64),
        paint(io, status === 'ACTIVE' ? 'green' : 'red', status),
        formatAge(since),
        status === 'ACTIVE' ? `${String(busy)} of ${String(slots)}` : '',
        cell(labels.join(', '), 40),
        formatAge(seenAt),
      ])
      printTable(io, [['RUNNER', 'STATE', 'SINCE', 'BUSY', 'LABELS', 'LAST SEEN'], ...rows])
    },
  )
}
