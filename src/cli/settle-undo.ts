import { randomUUID } from 'node:crypto'
import type { Command } from 'commander'
import type { Client, RunRef } from '../api/client.ts'
import type { RunDetail, SettleRunUndo, UndoAccepted } from '../api/run-schemas.ts'
import { exitCodes } from '../domain/errors.ts'
import type { RunEventBody, UndoItem } from '../domain/run-event.ts'
import type { RunStatus } from '../domain/run.ts'
import { clientCommand, projectOption, type CommonFlags } from './command.ts'
import { connect } from './connect.ts'
import { findRunRef } from './find-run.ts'
import { followRun } from './follow-run.ts'
import { paintStatus, printJson } from './format.ts'
import type { Io } from './io.ts'
import { settledExitCodeOf } from './run-exit.ts'
import { printable } from './terminal-text.ts'

interface SettleFlags extends CommonFlags {
  project?: string
  step?: string
  reason?: string
  detach?: true
}

export function retryCommand(io: Io): Command {
  return settleCommand(clientCommand('retry', 'try the undo again that a run is blocked at', io), io, 'retry').option(
    '-r, --reason <text>',
    'why, for the others',
  )
}

export function skipCommand(io: Io): Command {
  const command = clientCommand('skip', 'give up for good the undo that a run is blocked at', io)
  return settleCommand(command, io, 'skip').requiredOption('-r, --reason <text>', 'why, for the others')
}

/** The undo whose turn it is: of those that failed, the one that was owed last. */
export function findBlockedUndo(run: Pick<RunDetail, 'status' | 'undo'>): UndoItem | undefined {
  return run.status === 'rollback_blocked' ? run.undo.findLast(({ status }) => status === 'failed') : undefined
}

function settleCommand(command: Command, io: Io, action: SettleRunUndo['action']): Command {
  return command
    .argument('<run>', 'number or id')
    .addOption(projectOption())
    .option('-s, --step <step>', "only if it is this step's undo that is blocked")
    .option('--detach', 'do not wait for what comes of it')
    .addHelpText('after', '\nExit: 0 the run was taken back after all, 4 it is still blocked or an undo was given up.')
    .action(async (text: string, flags: SettleFlags) => {
      const client = connect(flags, io)
      const ref = await findRunRef(client, text, flags.project)
      const after = await lastEventOf(client, ref)
      const { step, reason } = flags
      const more = { ...(step === undefined ? {} : { step }), ...(reason === undefined ? {} : { reason }) }
      const run = await client.settleUndo(ref, { action, ...more }, randomUUID())
      if (flags.json === true) printJson(io, run)
      else io.out(describe(run))
      if (flags.detach === true) return
      const { left } = run.settled
      if (action === 'skip' && left.length > 0) return io.exitWith(exitCodes.rollbackFailed)
      const status = await followRun(client, { id: run.id }, io, flags.json === true, { after, stopAt: whenBlockedAgain(action) })
      if (status === undefined) {
        io.err(`\nit goes on; \`belay show ${String(run.number)}\` shows what becomes of it\n`)
        return io.exitWith(130)
      }
      if (flags.json !== true) io.out(`run ${String(run.number)} ${paintStatus(io, status)}\n`)
      io.exitWith(settledExitCodeOf(status))
    })
}

function describe({ number, settled }: UndoAccepted): string {
  const { action, step, does, left } = settled
  const what = action === 'retry' ? 'is tried again' : 'is given up'
  const others = left.length === 0 ? '' : `blocked after it, in their turn: ${left.join(', ')}\n`
  return `run ${String(number)}: the undo of "${step}" ${what} (${printable(does)})\n${others}`
}

/** A retry tells that the run goes on, and if it fails that it is blocked again. What was told before that is old. */
function whenBlockedAgain(action: SettleRunUndo['action']): (body: RunEventBody) => RunStatus | undefined {
  let begun = action === 'skip'
  return (body) => {
    if (body.type !== 'run') return undefined
    begun ||= body.status === 'running'
    return begun && body.status === 'rollback_blocked' ? body.status : undefined
  }
}

async function lastEventOf(client: Client, ref: RunRef): Promise<number> {
  const limit = 1000
  let after = 0
  for (;;) {
    const { items, next } = await client.listRunEvents(ref, { after, limit })
    after = next
    if (items.length < limit) return after
  }
}
