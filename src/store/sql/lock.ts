import { PostgresAdapter, sql } from 'kysely'
import type { Tx } from './database.ts'

/**
 * Whoever locks the same name waits until this transaction has ended, and then sees what it wrote: for what is read and
 * then written, above all where there may be no row yet. SQLite has one writing transaction at a time as it is.
 *
 * Always taken in this order: `queue`, a run's row, the others. One that is met in another order is a deadlock, which
 * PostgreSQL ends by failing one of the two; `write` tries that one again.
 */
export async function lock(tx: Tx, name: string): Promise<void> {
  if (!(tx.getExecutor().adapter instanceof PostgresAdapter)) return
  await sql`select pg_advisory_xact_lock(hashtextextended(${name}, 0))`.execute(tx)
}

export const locks = {
  /** Everything that starts runs or adds commands: their order is that of the commits. */
  queue: 'queue',
  log: (key: { runId: string; step: string; attempt: number; part: string }) =>
    `log/${key.runId}/${key.step}/${String(key.attempt)}/${key.part}`,
  release: (project: string) => `release/${project}`,
  environment: (name: string) => `environment/${name}`,
  tokens: 'tokens',
  outbox: (key: string) => `outbox/${key}`,
} as const
