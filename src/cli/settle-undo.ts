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
import { lastEventOf } from './last-event.ts'
import { settledExitCodeOf } from './run-exit.ts'
import { printable } from './terminal-text.ts'

interface SettleFlags extends CommonFlags {
  project?: string
  step?: string
  reason?: string
  detach?: true
}

export function skipCommand(io: Io): Command {
  return clientCommand('skip', 'give up for good the undo that a run is blocked at', io)
    .argument('<run>', 'number or id')
    .requiredOption('-r, --reason <text>', 'why, for the others')
    .addOption(projectOption())
    .option('-s, --step <step>', "only if it is this step's undo that is blocked")
    .option('--detach', 'do not wait for what comes of it')
    .addHelpText('after', '\nExit: 0 the run was taken back after all, 4 it is still blocked or an undo was given up.')
    .action(async (text: string, flags: SettleFlags) => {
      const client = connect(flags, io)
      await settle({ client, io, ref: await findRunRef(client, text, flags.project), action: 'skip', flags })
    })
}

/** The undo whose turn it is: of those that failed, the one that was owed last. */
export function findBlockedUndo(run: Pick<RunDetail, 'status' | 'undo'>): UndoItem | undefined {
  return run.status === 'rollback_blocked' ? run.undo.findLast(({ status }) => status === 'failed') : undefined
}

export interface Settle {
  client: Client
  io: Io
  ref: RunRef
  action: SettleRunUndo['action']
  flags: SettleFlags
}

/** Settles it, and unless told not to waits for what comes of it. */
export async function settle({ client, io, ref, action, flags }: Settle): Promise<void> {
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
