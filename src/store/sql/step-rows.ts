import type { StepChange } from '../../domain/run-event.ts'
import { rankOf } from '../../domain/step.ts'
import type { StepRow } from '../store.ts'
import type { Tx } from './database.ts'
import { fromJson, toJson } from './json.ts'
import type { StepTable } from './schema.ts'

export interface StepMove {
  runId: string
  source: string
  change: StepChange
  at: number
  /** False: the run has ended; rows stay as they are. */
  isOpen: boolean
}

/** The source whose word wins over a runner's early news. */
const control = 'run'

/**
 * Moves the row of (run, step, attempt) forward by (epoch, rank). True if it moved, or would have in an open run. At the
 * same (epoch, rank), control's word replaces the row without being news.
 */
export async function moveStep(tx: Tx, move: StepMove): Promise<boolean> {
  const row = await findStep(tx, move)
  const order = row === undefined ? 1 : compare(move.change, row)
  const isNews = order > 0
  if (move.isOpen && (isNews || (order === 0 && move.source === control))) {
    await writeStep(tx, move, row)
    await writeArtifacts(tx, move)
  }
  return isNews
}

export function toStepRow(row: StepTable): StepRow {
  return { ...fromJson(row.change), runId: row.run_id }
}

function findStep(tx: Tx, { runId, change }: StepMove): Promise<StepTable | undefined> {
  return tx
    .selectFrom('steps')
    .selectAll()
    .where('run_id', '=', runId)
    .where('step', '=', change.step)
    .where('attempt', '=', change.attempt)
    .executeTakeFirst()
}

function compare(change: StepChange, row: StepTable): number {
  return change.epoch - row.epoch || rankOf(change.status) - row.rank
}

async function writeStep(tx: Tx, { runId, change }: StepMove, before: StepTable | undefined): Promise<void> {
  // News of an end need not repeat when it began.
  const startedAt = change.startedAt ?? (before?.epoch === change.epoch ? before.started_at : null)
  const whole: StepChange = startedAt === null ? change : { ...change, startedAt }
  const moved = {
    epoch: change.epoch,
    rank: rankOf(change.status),
    status: change.status,
    started_at: startedAt,
    ended_at: change.endedAt ?? null,
    change: toJson(whole),
  }
  await tx
    .insertInto('steps')
    .values({ run_id: runId, step: change.step, attempt: change.attempt, ...moved })
    .onConflict((conflict) => conflict.columns(['run_id', 'step', 'attempt']).doUpdateSet(moved))
    .execute()
}

/** What a step left behind, found again by digest: what these rows name, a clean-up must not remove. */
async function writeArtifacts(tx: Tx, { runId, change, at }: StepMove): Promise<void> {
  for (const artifact of change.result?.artifacts ?? []) {
    await tx
      .insertInto('artifacts')
      .values({
        run_id: runId,
        step: change.step,
        path: artifact.path,
        digest: artifact.digest,
        size_bytes: artifact.sizeBytes,
        executable: artifact.executable ? 1 : 0,
        created_at: at,
      })
      .onConflict((conflict) => conflict.columns(['run_id', 'step', 'path', 'digest']).doNothing())
      .execute()
  }
}
