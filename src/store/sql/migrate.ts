import { randomUUID } from 'node:crypto'
import { sql } from 'kysely'
import { BelayError } from '../../domain/errors.ts'
import type { Tx } from './database.ts'
import { migrations } from './migrations/index.ts'

/** One step of the schema. A shipped one is never edited; statements keep to what SQLite and PostgreSQL both take. */
export interface Migration {
  number: number
  name: string
  statements: readonly string[]
}

/** Applies what is missing, inside the caller's transaction. A database newer than this program throws `refused`. */
export async function migrate(tx: Tx, known: readonly Migration[] = migrations): Promise<void> {
  await sql`create table if not exists meta (key text primary key, value text not null)`.execute(tx)
  const current = await schemaNumberOf(tx)
  const newest = known.at(-1)?.number ?? 0
  if (current > newest) {
    throw new BelayError({
      code: 'refused',
      message: `the database has schema ${String(current)}, this program knows ${String(newest)}`,
      hint: 'It was written by a newer Belay: use that one, or restore the backup made before the upgrade.',
    })
  }
  if (current === newest) return
  for (const migration of known.filter((candidate) => candidate.number > current)) {
    for (const statement of migration.statements) await sql.raw(statement).execute(tx)
  }
  await setMeta(tx, 'schema', String(newest))
  if (current === 0) await setMeta(tx, 'store_id', randomUUID())
}

async function schemaNumberOf(tx: Tx): Promise<number> {
  const row = await tx.selectFrom('meta').select('value').where('key', '=', 'schema').executeTakeFirst()
  return row === undefined ? 0 : Number(row.value)
}

async function setMeta(tx: Tx, key: string, value: string): Promise<void> {
  await tx
    .insertInto('meta')
    .values({ key, value })
    .onConflict((conflict) => conflict.column('key').doUpdateSet({ value }))
    .execute()
}
