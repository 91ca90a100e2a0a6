import { BelayError } from '../../domain/errors.ts'
import type { Run } from '../store.ts'
import type { StoreDatabase, Tx } from './database.ts'
import { fromJson, present } from './json.ts'
import type { RunTable } from './schema.ts'

export function toRun(row: RunTable): Run {
  return present({
    id: row.id,
    number: row.number,
    project: row.project,
    sequence: row.sequence,
    trigger: fromJson(row.trigger_json),
    pipeline: row.pipeline,
    status: row.status,
    pipelineName: row.pipeline_name,
    planDigest: row.plan_digest,
    reason: row.reason,
    createdAt: row.created_at,
    startedAt: row.started_at,
    endedAt: row.ended_at,
    epoch: row.epoch,
    undo: fromJson(row.undo),
    round: row.round,
  })
}

/** Throws `not_found`. `from` may be a transaction. */
export async function loadRunRow(from: StoreDatabase['read'], runId: string): Promise<RunTable> {
  const row = await from.selectFrom('runs').selectAll().where('id', '=', runId).executeTakeFirst()
  if (row === undefined) throw noSuchRun(runId)
  return row
}

/** The same, and nobody else changes the run until this transaction ends. */
export async function lockRunRow(tx: Tx, runId: string): Promise<RunTable> {
  const row = await tx.selectFrom('runs').selectAll().where('id', '=', runId).forNoKeyUpdate().executeTakeFirst()
  if (row === undefined) throw noSuchRun(runId)
  return row
}

function noSuchRun(runId: string): BelayError {
  return new BelayError({ code: 'not_found', message: `there is no run ${runId}` })
}
