import type { Command } from 'commander'
import { clientCommand, projectOption, type CommonFlags } from './command.ts'
import { connect } from './connect.ts'
import { findRunRef } from './find-run.ts'
import { followRun } from './follow-run.ts'
import { paintStatus, printJson } from './format.ts'
import type { Io } from './io.ts'

interface CancelFlags extends CommonFlags {
  project?: string
  reason?: string
  wait?: true
}

export function cancelCommand(io: Io): Command {
  return clientCommand('cancel', 'end a run: its processes are stopped, then what it did is taken back', io)
    .argument('<run>', 'number or id')
    .addOption(projectOption())
    .option('-r, --reason <text>', 'why, for the others')
    .option('-w, --wait', 'until it has ended')
    .action(async (text: string, flags: CancelFlags) => {
      const client = connect(flags, io)
      const ref = await findRunRef(client, text, flags.project)
      const run = await client.cancelRun(ref, flags.reason === undefined ? {} : { reason: flags.reason })
      if (flags.json === true) printJson(io, run)
      else io.out(`run ${String(run.number)} ${run.endedAt === undefined ? 'is being cancelled' : paintStatus(io, run.status)}\n`)
      if (flags.wait !== true) return
      const status = await followRun(client, { id: run.id }, io, flags.json === true)
      if (status !== undefined && flags.json !== true) io.out(`run ${String(run.number)} ${paintStatus(io, status)}\n`)
    })
}
