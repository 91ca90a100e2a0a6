import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { openDatabase } from './database.ts'
import type { StoreDatabase, Tx } from './database.ts'
import { createGroupCommit } from './group-commit.ts'

let directory: string
let database: StoreDatabase
let transactions: number

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'belay-group-'))
  const opened = await openDatabase({ file: join(directory, 'belay.db') })
  transactions = 0
  database = {
    ...opened,
    write(work) {
      transactions += 1
      return opened.write(work)
    },
  }
})

afterEach(async () => {
  await database.close()
  await rm(directory, { recursive: true, force: true })
})

describe('createGroupCommit', () => {
  test('calls that come together share a transaction, and each gets its own answer', async () => {
    const insert = createGroupCommit(database, (tx, _, key: string) => insertKey(tx, key))
    const keys = Array.from({ length: 100 }, (_, index) => `k${String(index)}`)
    expect(await Promise.all(keys.map((key) => insert(key)))).toEqual(keys)
    expect(transactions).toBe(1)
    expect(await countKeys()).toBe(100)
  })

  test('a crowd is split into groups of at most 200', async () => {
    const insert = createGroupCommit(database, (tx, _, key: string) => insertKey(tx, key))
    await Promise.all(Array.from({ length: 450 }, (_, index) => insert(`k${String(index)}`)))
    expect(transactions).toBe(3)
  })

  test('what comes during a commit is committed next, and what comes later begins anew', async () => {
    const late: Promise<string>[] = []
    const insert: (key: string) => Promise<string> = createGroupCommit(database, async (tx, _, key: string) => {
      if (key === 'first') late.push(insert('second'))
      return insertKey(tx, key)
    })
    await insert('first')
    await Promise.all(late)
    expect(transactions).toBe(2)
    await insert('third')
    expect(await countKeys()).toBe(3)
  })

  test('a fault that lies in one call is thrown at that call alone', async () => {
    const insert = createGroupCommit(database, (tx, _, key: string) =>
      key === 'bad' ? Promise.reject(new RangeError('bad')) : insertKey(tx, key),
    )
    const results = await Promise.allSettled(['a', 'bad', 'b'].map((key) => insert(key)))
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
    expect(await countKeys()).toBe(2)
  })

  test('a database that is away is told to all of a group, tried once', async () => {
    const insert = createGroupCommit(database, (tx, _, key: string) => insertKey(tx, key))
    await database.close()
    const results = await Promise.allSettled(['a', 'b', 'c'].map((key) => insert(key)))
    const refused = { status: 'rejected', reason: { code: 'unavailable' } }
    expect(results).toMatchObject([refused, refused, refused])
    expect(transactions).toBe(1)
  })
})

async function insertKey(tx: Tx, key: string): Promise<string> {
  await tx
    .insertInto('meta')
    .values({ key: `test/${key}`, value: '' })
    .execute()
  return key
}

async function countKeys(): Promise<number> {
  return (await database.read.selectFrom('meta').select('key').where('key', 'like', 'test/%').execute()).length
}
