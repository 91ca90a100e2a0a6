import { assertNever } from '../../domain/errors.ts'
import { isEndedRun } from '../../domain/run.ts'
import type { RunEnding, RunEvent, UndoItem } from '../../domain/run-event.ts'
import { leaveCommitStatus } from './commit-status.ts'
import type { Tx, Write } from './database.ts'
import { fromJson, toJson } from './json.ts'
import { loadRunRow, lockRunRow } from './run-row.ts'
import type { RunTable } from './schema.ts'
import { moveStep } from './step-rows.ts'

/** Events in the order given; each that is new and moves something gets the run's next number. */
export async function recordEvents(write: Write, runId: string, events: readonly RunEvent[]): Promise<void> {
  const { tx } = write
  await lockRunRow(tx, runId)
  for (const event of events) {
    if (await isKnown(tx, runId, event)) continue
    if (await apply(write, runId, event)) await insertEvent(tx, runId, event)
  }
}

/** The run's last write; on an ended run, only the events. `rollback_blocked` is no end: it may be finished again. */
export async function finishRun(write: Write, runId: string, ending: RunEnding, events: readonly RunEvent[]): Promise<void> {
  const { tx } = write
  await recordEvents(write, runId, events)
  const run = await loadRunRow(tx, runId)
  // Of a round that is over, and was answered late.
  if ((ending.round ?? 0) !== run.round) return
  if (run.ended_at !== null || run.status === ending.status) return
  await tx
    .updateTable('runs')
    .set({
      status: ending.status,
      reason: ending.reason ?? null,
      ended_at: isEndedRun(ending.status) ? ending.at : null,
    })
    .where('id', '=', runId)
    .execute()
  await leaveCommitStatus(write, run, ending)
  const isTold = events.some(({ body }) => body.type === 'run' && body.status === ending.status)
  if (!isTold) await insertEvent(tx, runId, endingEvent(run, ending))
}

/** Readers must see the end even if its writer sent no event for it. */
function endingEvent(run: RunTable, ending: RunEnding): RunEvent {
  const body = { type: 'run' as const, status: ending.status, ...(ending.reason === undefined ? {} : { reason: ending.reason }) }
  return { source: 'store', epoch: 0, n: run.last_seq, at: ending.at, body }
}

export async function insertEvent(tx: Tx, runId: string, event: RunEvent): Promise<void> {
  const { last_seq: seq } = await tx
    .updateTable('runs')
    .set((row) => ({ last_seq: row('last_seq', '+', 1) }))
    .where('id', '=', runId)
    .returning('last_seq')
    .executeTakeFirstOrThrow()
  const { source, epoch, n, at, body } = event
  await tx
    .insertInto('run_events')
    .values({ run_id: runId, seq, source, epoch, n, at, body: toJson(body) })
    .execute()
}

async function isKnown(tx: Tx, runId: string, event: RunEvent): Promise<boolean> {
  const row = await tx
    .selectFrom('run_events')
    .select('seq')
    .where('run_id', '=', runId)
    .where('source', '=', event.source)
    .where('epoch', '=', event.epoch)
    .where('n', '=', event.n)
    .executeTakeFirst()
  return row !== undefined
}

/** Changes the rows that the event is about. False: it tells nothing new and is dropped. */
async function apply(write: Write, runId: string, event: RunEvent): Promise<boolean> {
  const { tx } = write
  const run = await loadRunRow(tx, runId)
  // What the run's workflow of an earlier round still has to tell is history.
  const isOpen = run.ended_at === null && (event.source !== 'run' || event.epoch >= run.round)
  const { body } = event
  switch (body.type) {
    case 'step':
      return moveStep(tx, { runId, source: event.source, change: body.change, at: event.at, isOpen })
    case 'run':
      if (isOpen && !isEndedRun(body.status)) await moveRun(write, run, { ...body, at: event.at })
      return true
    case 'undo':
      if (isOpen)
        await tx
          .updateTable('runs')
          .set({ undo: toJson(withItem(run, body.item)) })
          .where('id', '=', runId)
          .execute()
      return true
    case 'workspace':
      if (isOpen && body.epoch > run.epoch)
        await tx.updateTable('runs').set({ epoch: body.epoch }).where('id', '=', runId).execute()
      return true
    case 'planned':
      // The run has its name since the plan was saved, just before: now its forge can be told.
      if (isOpen) await leaveCommitStatus(write, run, run)
      return true
    case 'deployment':
    case 'waiting':
      return true
    default:
      return assertNever(body)
  }
}

/** An end comes by `finish` only, so that the last write cannot be overtaken by its own news. */
async function moveRun(
  write: Write,
  run: RunTable,
  { status, reason, at }: { status: RunTable['status']; reason?: string | undefined; at: number },
): Promise<void> {
  const startedAt = run.started_at ?? (status === 'running' ? at : null)
  await write.tx
    .updateTable('runs')
    .set({ status, reason: reason ?? null, started_at: startedAt })
    .where('id', '=', run.id)
    .execute()
  if (status !== run.status) await leaveCommitStatus(write, run, { status, reason })
}

function withItem(run: RunTable, item: UndoItem): UndoItem[] {
  const items = fromJson(run.undo)
  const index = items.findIndex(({ step, environment }) => step === item.step && environment === item.environment)
  return index === -1 ? [...items, item] : items.with(index, item)
}
