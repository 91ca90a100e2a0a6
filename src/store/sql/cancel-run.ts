import type { RunEvent } from '../../domain/run-event.ts'
import type { Actor } from '../../domain/trigger.ts'
import { leaveCommitStatus } from './commit-status.ts'
import type { Write } from './database.ts'
import { lock, locks } from './lock.ts'
import { insertCommand } from './new-run.ts'
import { insertEvent } from './record-events.ts'
import { lockRunRow } from './run-row.ts'
import type { RunTable } from './schema.ts'

export interface CancelRun {
  runId: string
  actor: Actor
  reason?: string | undefined
}

/**
 * Ends a run whose start was never tried; else leaves a `cancel` command, behind the start if that is still owed. A start
 * that was leased even once may have reached Temporal, whatever came back, so only Temporal can end that run.
 */
export async function cancelRun(write: Write, input: CancelRun): Promise<void> {
  const { tx, now } = write
  await lock(tx, locks.queue)
  const run = await lockRunRow(tx, input.runId)
  if (run.ended_at !== null) return
  const owed = await tx
    .selectFrom('commands')
    .select(['id', 'kind', 'attempts'])
    .where('run_id', '=', input.runId)
    .where('round', '=', run.round)
    .where('done_at', 'is', null)
    // A start that is being leased just now counts as tried.
    .forUpdate()
    .execute()
  const start = owed.find((command) => command.kind === 'start')
  if (start !== undefined && start.attempts === 0) {
    await endUnstarted(write, { ...input, run, startId: start.id })
  } else if (!owed.some((command) => command.kind === 'cancel')) {
    await insertCommand(tx, { ...input, round: run.round, kind: 'cancel', now })
  }
}

async function endUnstarted(write: Write, input: CancelRun & { run: RunTable; startId: number }): Promise<void> {
  const { tx, now } = write
  const { run, runId } = input
  const status = 'cancelled'
  const reason = input.reason ?? `cancelled by ${input.actor.name} before it started`
  await tx.updateTable('commands').set({ done_at: now }).where('id', '=', input.startId).execute()
  await tx.updateTable('runs').set({ status, reason, ended_at: now }).where('id', '=', runId).execute()
  // The run's workflow will never exist, so its source is free to tell the end in its name.
  const event: RunEvent = { source: 'run', epoch: run.round, n: 0, at: now, body: { type: 'run', status, reason } }
  await insertEvent(tx, runId, event)
  await leaveCommitStatus(write, run, { status, reason })
}
