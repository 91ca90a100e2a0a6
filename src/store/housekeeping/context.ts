import type { Keep } from '../../domain/keep.ts'
import type { BlobFiles } from '../blobs/files.ts'
import type { LogFiles } from '../logs/files.ts'
import type { StoreDatabase, Tx } from '../sql/database.ts'

/** What every sweep of one kind gets. With `dry` it changes nothing. */
export interface SweepContext {
  database: StoreDatabase
  logs: LogFiles
  blobs: BlobFiles
  keep: Keep
  dry: boolean
  /** When this clean-up began: ages are counted from here. */
  now: number
  /** Image layouts on this machine. */
  images?: string
}

/** Enough for rows alone. */
export type RowContext = Omit<SweepContext, 'logs' | 'blobs'>

export const dayMs = 24 * 60 * 60_000
/** Rows of one transaction: others wait for it. */
export const batchSize = 200

export function* batches<T>(items: readonly T[], size = batchSize): Generator<T[]> {
  for (let at = 0; at < items.length; at += size) yield items.slice(at, at + size)
}

/** When the oldest run that goes on was made; Infinity: none does. Nothing younger was left by a run that has ended. */
export async function oldestOpenRun({ database }: SweepContext): Promise<number> {
  const { oldest } = await database.read
    .selectFrom('runs')
    .select((row) => row.fn.min('created_at').as('oldest'))
    .where('ended_at', 'is', null)
    .executeTakeFirstOrThrow()
  return oldest ?? Infinity
}

/** Those of these runs that ended before that. Until this transaction ends nobody goes on with one, or adds a row of its own. */
export async function lockEnded(tx: Tx, ids: readonly string[], endedBefore: number): Promise<string[]> {
  const ended = tx.selectFrom('runs').select('id').where('id', 'in', ids).where('ended_at', '<', endedBefore)
  return (await ended.orderBy('id').forUpdate().execute()).map(({ id }) => id)
}
