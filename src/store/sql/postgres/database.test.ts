import { Client } from 'pg'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { postgresOfFile } from '../../../../test/helpers/postgres.ts'
import type { StoreDatabase, Tx } from '../database.ts'
import { lock } from '../lock.ts'
import { openPostgres } from './database.ts'

const postgresHere = postgresOfFile()

let url: string
let database: StoreDatabase

beforeEach(async () => {
  url = await (await postgresHere()).createDatabase()
  database = await openPostgres({ url })
})

// There is none if PostgreSQL is missing.
afterEach(() => (database as StoreDatabase | undefined)?.close())

function set(tx: Tx, key: string, value: string) {
  return tx
    .insertInto('meta')
    .values({ key, value })
    .onConflict((conflict) => conflict.column('key').doUpdateSet({ value }))
    .execute()
}

async function valueOf(key: string): Promise<string | undefined> {
  const row = await database.read.selectFrom('meta').select('value').where('key', '=', key).executeTakeFirst()
  return row?.value
}

test('a transaction that throws leaves nothing and wakes nobody', async () => {
  const work = database.write(async (tx, tell) => {
    tell('topic')
    await set(tx, 'a', '1')
    throw new RangeError('no')
  })
  const aborted = new AbortController()
  let isAwake = false
  const waiting = database.hub
    .wait('topic', { timeoutMs: 600_000, signal: aborted.signal, isReady: () => Promise.resolve(false) })
    .then(() => (isAwake = true))
  await expect(work).rejects.toThrow(RangeError)
  expect(await valueOf('a')).toBeUndefined()
  expect(isAwake).toBe(false)
  aborted.abort()
  await waiting
})

test('a reader never sees half a transaction', async () => {
  let seen: string | undefined = 'nothing read'
  await database.write(async (tx) => {
    await set(tx, 'a', '1')
    seen = await valueOf('a')
    await set(tx, 'a', '2')
  })
  expect(seen).toBeUndefined()
  expect(await valueOf('a')).toBe('2')
})

test('two transactions that wait for each other both get through, one of them by a second try', async () => {
  let tries = 0
  let arrived = 0
  let meet: () => void = () => undefined
  const bothArrived = new Promise<void>((resolve) => (meet = resolve))
  const cross = (first: string, second: string) =>
    database.write(async (tx) => {
      tries += 1
      await lock(tx, first)
      arrived += 1
      if (arrived === 2) meet()
      await bothArrived
      await lock(tx, second)
      await set(tx, first, second)
    })
  await Promise.all([cross('a', 'b'), cross('b', 'a')])
  expect(tries).toBe(3)
  expect([await valueOf('a'), await valueOf('b')]).toEqual(['b', 'a'])
})

test('a statement that the tables refuse is our fault, and is no message for people to match', async () => {
  const twice = database.write(async (tx) => {
    for (const value of ['1', '2']) await tx.insertInto('meta').values({ key: 'a', value }).execute()
  })
  await expect(twice).rejects.toMatchObject({ code: 'internal', retryable: false })
})

test('what SQLite takes is taken: a zero byte in a text, a part of a millisecond', async () => {
  await database.write(async (tx) => {
    await set(tx, 'a', 'x\0y')
    await tx.insertInto('counters').values({ name: 'n', value: 1.7 }).execute()
  })
  expect(await valueOf('a')).toBe('x\uFFFDy')
  const row = await database.read.selectFrom('counters').select('value').where('name', '=', 'n').executeTakeFirst()
  expect(row).toEqual({ value: 1 })
})

test('a number that JavaScript cannot hold is refused, not rounded', async () => {
  const client = new Client({ connectionString: url })
  await client.connect()
  await client.query(`insert into counters values ('n', 9007199254740993)`)
  await client.end()
  const read = database.read.selectFrom('counters').select('value').where('name', '=', 'n').executeTakeFirst()
  await expect(read).rejects.toMatchObject({ code: 'internal' })
})

test('closing waits for what is under way, may be said twice, and refuses what comes after', async () => {
  const written = database.write((tx) => set(tx, 'a', '1'))
  await database.close()
  await database.close()
  await written
  await expect(valueOf('a')).rejects.toMatchObject({ code: 'unavailable', retryable: true })
  database = await openPostgres({ url })
  expect(await valueOf('a')).toBe('1')
})

test('more who write than there are connections all get their turn', async () => {
  const writes = Array.from({ length: 60 }, (_, index) =>
    database.write(async (tx) => {
      await lock(tx, 'one')
      await set(tx, `k${String(index)}`, '1')
    }),
  )
  await Promise.all(writes)
  const rows = await database.read.selectFrom('meta').select('key').where('key', 'like', 'k%').execute()
  expect(rows).toHaveLength(60)
})
