import type { RunEvent } from '../../domain/run-event.ts'
import type { Actor } from '../../domain/trigger.ts'
import type { Tx } from './database.ts'
import { insertCommand } from './new-run.ts'
import { insertEvent } from './record-events.ts'
import { loadRunRow } from './run-row.ts'

export interface CancelRun {
  runId: string
  actor: Actor
  reason?: string | undefined
  now: number
}

/**
 * Ends a run whose start was never tried; else leaves a `cancel` command, behind the start if that is still owed. A start
 * that was leased even once may have reached Temporal, whatever came back, so only Temporal can end that run.
 */
export async function cancelRun(tx: Tx, input: CancelRun): Promise<void> {
  const run = await loadRunRow(tx, input.runId)
  if (run.ended_at !== null) return
  const owed = await tx
    .selectFrom('commands')
    .select(['id', 'kind', 'attempts'])
    .where('run_id', '=', input.runId)
    .where('done_at', 'is', null)
    .execute()
  const start = owed.find((command) => command.kind === 'start')
  if (start !== undefined && start.attempts === 0) {
    await endUnstarted(tx, input, start.id)
  } else if (!owed.some((command) => command.kind === 'cancel')) {
    await insertCommand(tx, { ...input, kind: 'cancel' })
  }
}

async function endUnstarted(tx: Tx, input: CancelRun, startId: number): Promise<void> {
  const { runId, now } = input
  const reason = input.reason ?? `cancelled by ${input.actor.name} before it started`
  await tx.updateTable('commands').set({ done_at: now }).where('id', '=', startId).execute()
  await tx.updateTable('runs').set({ status: 'cancelled', reason, ended_at: now }).where('id', '=', runId).execute()
  // The run's workflow will never exist, so its source is free to tell the end in its name.
  const event: RunEvent = { source: 'run', epoch: 0, n: 0, at: now, body: { type: 'run', status: 'cancelled', reason } }
  await insertEvent(tx, runId, event)
}
