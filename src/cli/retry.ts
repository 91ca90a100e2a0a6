import { randomUUID } from 'node:crypto'
import type { Command } from 'commander'
import { BelayError } from '../domain/errors.ts'
import { askPatiently } from './ask-patiently.ts'
import { clientCommand, projectOption, type CommonFlags } from './command.ts'
import { connect } from './connect.ts'
import { findRunRef } from './find-run.ts'
import { followRun } from './follow-run.ts'
import { paintStatus, printJson } from './format.ts'
import type { Io } from './io.ts'
import { lastEventOf } from './last-event.ts'
import { exitCodeOf } from './run-exit.ts'
import { settle } from './settle-undo.ts'

interface RetryFlags extends CommonFlags {
  project?: string
  from?: string
  step?: string
  reason?: string
  detach?: true
}

/** Two things that a person calls by one word: a run that has ended goes on, and a blocked undo is tried again. */
export function retryCommand(io: Io): Command {
  return clientCommand('retry', 'go on with a run that has ended badly, or try the undo again that it is blocked at', io)
    .argument('<run>', 'number or id')
    .addOption(projectOption())
    .option('--from <step>', 'do this step again in any case, and all that follow from it')
    .option('-s, --step <step>', "only if it is this step's undo that is blocked")
    .option('-r, --reason <text>', 'why, for the others')
    .option('--detach', 'do not wait for what comes of it')
    .addHelpText(
      'after',
      '\nWhat succeeded and was not taken back is not run again. Exit: as `belay run`; of a blocked undo 0 the run was taken back\nafter all, 4 it is still blocked or an undo was given up.',
    )
    .action(async (text: string, flags: RetryFlags) => {
      const client = connect(flags, io)
      const ref = await findRunRef(client, text, flags.project)
      const { status } = await client.getRun(ref)
      if (flags.from !== undefined && flags.step !== undefined) {
        throw new BelayError({
          code: 'invalid_input',
          message: '--from goes on with a run, --step names a blocked undo: give one of them',
        })
      }
      // What is blocked is settled first: there is nothing to go on with before.
      if (flags.step !== undefined || (status === 'rollback_blocked' && flags.from === undefined))
        return settle({ client, io, ref, action: 'retry', flags })
      const after = await lastEventOf(client, ref)
      const { from, reason } = flags
      const asked = { ...(from === undefined ? {} : { from }), ...(reason === undefined ? {} : { reason }) }
      const key = randomUUID()
      const run = await askPatiently(io, `belay show ${text}`, () => client.retryRun(ref, asked, key))
      if (flags.json === true) printJson(io, run)
      else io.out(`run ${String(run.number)} goes on  ${run.url}\n`)
      if (flags.detach === true) return
      const end = await followRun(client, { id: run.id }, io, flags.json === true, { after })
      if (end === undefined) {
        io.err(`\nit goes on; \`belay show ${String(run.number)}\` shows what becomes of it\n`)
        return io.exitWith(130)
      }
      if (flags.json !== true) io.out(`run ${String(run.number)} ${paintStatus(io, end)}\n`)
      io.exitWith(exitCodeOf(end))
    })
}
