import { mkdtemp, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { sql } from 'kysely'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { nextNumber } from './counters.ts'
import { openDatabase } from './database.ts'
import type { StoreDatabase } from './database.ts'
import { migrate } from './migrate.ts'
import type { Migration } from './migrate.ts'
import { migrations } from './migrations/index.ts'

let directory: string
let database: StoreDatabase

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'belay-database-'))
  database = await openDatabase({ file: join(directory, 'new', 'belay.db') })
})

afterEach(async () => {
  await database.close()
  await rm(directory, { recursive: true, force: true })
})

describe('openDatabase', () => {
  test('syncs every commit, keeps a write-ahead log and checks foreign keys', async () => {
    expect(await pragma('journal_mode')).toBe('wal')
    expect(await pragma('synchronous')).toBe(2)
    expect(await pragma('foreign_keys')).toBe(1)
  })

  test('two connections of one process take turns, and neither blocks the other', async () => {
    const other = await openDatabase({ file: join(directory, 'new', 'belay.db') })
    const count = (from: StoreDatabase) =>
      from.write(async (tx) => {
        await nextNumber(tx, 'test')
        await new Promise((resolve) => setImmediate(resolve))
      })
    await Promise.all(Array.from({ length: 40 }, (_, index) => count(index % 2 === 0 ? database : other)))
    await other.close()
    expect(await database.write((tx) => nextNumber(tx, 'test'))).toBe(41)
  })

  test('makes its directory for this user alone', async () => {
    expect((await stat(join(directory, 'new'))).mode & 0o777).toBe(0o700)
  })

  test('a transaction that throws leaves nothing', async () => {
    const work = database.write(async (tx) => {
      await tx.insertInto('meta').values({ key: 'a', value: '1' }).execute()
      throw new RangeError('no')
    })
    await expect(work).rejects.toThrow(RangeError)
    expect(await valueOf('a')).toBeUndefined()
  })

  test('a reader never sees half a transaction', async () => {
    const written = database.write(async (tx) => {
      await tx.insertInto('meta').values({ key: 'a', value: '1' }).execute()
      await new Promise((resolve) => setImmediate(resolve))
      await tx.updateTable('meta').set({ value: '2' }).where('key', '=', 'a').execute()
    })
    const seen = valueOf('a')
    await written
    expect(await seen).toBe('2')
  })

  test('a statement that the tables refuse is our fault, and is no message for people to match', async () => {
    const twice = database.write(async (tx) => {
      for (const value of ['1', '2']) await tx.insertInto('meta').values({ key: 'a', value }).execute()
    })
    await expect(twice).rejects.toMatchObject({ code: 'internal', retryable: false })
  })

  test('closing waits for what is under way, may be said twice, and refuses what comes after', async () => {
    const written = database.write((tx) => tx.insertInto('meta').values({ key: 'a', value: '1' }).execute())
    await database.close()
    await database.close()
    await written
    await expect(valueOf('a')).rejects.toMatchObject({ code: 'unavailable', retryable: true })
  })
})

describe('migrate', () => {
  const last = migrations.at(-1)?.number ?? 0
  const next = last + 1
  const add: Migration = { number: next, name: 'add', statements: ['create table added (id text primary key)'] }
  const broken: Migration = { number: next + 1, name: 'broken', statements: ['create table half (id text)', 'create nonsense'] }

  test('applies what is missing, once', async () => {
    await database.write((tx) => migrate(tx, [...migrations, add]))
    await database.write((tx) => migrate(tx, [...migrations, add]))
    expect(await tablesNamed('added')).toBe(1)
    expect(await valueOf('schema')).toBe(String(next))
  })

  test('leaves nothing of one that fails', async () => {
    await expect(database.write((tx) => migrate(tx, [...migrations, add, broken]))).rejects.toMatchObject({ code: 'internal' })
    expect(await tablesNamed('added')).toBe(0)
    expect(await tablesNamed('half')).toBe(0)
    expect(await valueOf('schema')).toBe(String(last))
  })

  test('refuses a database that is newer than the program, with a hint', async () => {
    await database.write((tx) => migrate(tx, [...migrations, add]))
    const opening = openDatabase({ file: join(directory, 'new', 'belay.db') })
    await expect(opening).rejects.toMatchObject({ code: 'refused', hint: expect.stringContaining('newer Belay') as string })
  })

  test('is numbered upwards', () => {
    const numbers = migrations.map(({ number }) => number)
    expect(numbers).toEqual([...new Set(numbers)].toSorted((a, b) => a - b))
  })
})

async function pragma(name: string): Promise<unknown> {
  const { rows } = await sql<Record<string, unknown>>`pragma ${sql.raw(name)}`.execute(database.read)
  return Object.values(rows[0] ?? {})[0]
}

async function valueOf(key: string): Promise<string | undefined> {
  const row = await database.read.selectFrom('meta').select('value').where('key', '=', key).executeTakeFirst()
  return row?.value
}

async function tablesNamed(name: string): Promise<number> {
  const { rows } = await sql`select name from sqlite_master where type = 'table' and name = ${name}`.execute(database.read)
  return rows.length
}
