import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { Client } from 'pg'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { makeDelivery, startRun } from '../../../../test/contracts/store/samples.ts'
import { prepareManyStores } from '../../../../test/helpers/many-stores.ts'
import type { ManyStores } from '../../../../test/helpers/many-stores.ts'
import { findPostgresUser, postgresOfFile, postgresPassword, startPostgres } from '../../../../test/helpers/postgres.ts'
import type { Postgres } from '../../../../test/helpers/postgres.ts'
import { skipUnless } from '../../../../test/helpers/skips.ts'
import { mountSmallDisk, smallDiskMissing } from '../../../../test/helpers/small-disk.ts'
import { until } from '../../../../test/helpers/until.ts'
import { findFreePort } from '../../../process/free-port.ts'
import type { Store } from '../../store.ts'

const postgresHere = postgresOfFile()
const away = { code: 'unavailable', retryable: true, hint: expect.any(String) as string }
const long = 600_000

let postgres: Postgres
let many: ManyStores

beforeEach(async () => {
  postgres = await postgresHere()
  many = await prepareManyStores(await postgres.createDatabase())
})

const ends: (() => Promise<unknown>)[] = []

afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end()
  // There is none if PostgreSQL is missing.
  await (many as ManyStores | undefined)?.cleanup()
})

async function openOne(): Promise<Store> {
  const [store] = await many.open(1)
  if (store === undefined) throw new Error('asked for one')
  return store
}

/** Until every connection of the pool that broke has been met and thrown away. */
function untilUsable(store: Store): Promise<true> {
  return until('the store can be used', () =>
    store.ping().then(
      () => true as const,
      () => false as const,
    ),
  )
}

/** Until such a question has had its answer: who waits has looked for himself, and only listens from then on. */
function untilAnswered(question: string): Promise<true> {
  const answered = `state = 'idle' and query like '${question}'`
  return until(`an answer to ${question}`, () =>
    postgres.execute(`select 1 / count(*) from pg_stat_activity where ${answered}`).then(
      () => true as const,
      () => false as const,
    ),
  )
}

describe('while PostgreSQL is away', () => {
  test('every call says so, and each works again when it is back', async () => {
    const store = await openOne()
    const run = await startRun(store)
    const key = { runId: run.id, step: 'unit', attempt: 1, epoch: 1, part: 'step' as const }
    const calls: (() => Promise<unknown>)[] = [
      () => store.deliveries.accept(makeDelivery('d1')),
      () => store.runs.list({}),
      () => store.runs.record(run.id, []),
      () => store.commands.lease({ owner: 'a', leaseMs: 1, limit: 1 }),
      () => store.commands.wait(1),
      () => store.outbox.list({}),
      () => store.logs.append(key, { offset: 0, bytes: Buffer.from('x'), final: false }),
      () => store.tokens.find('bly_x'),
      () => store.ping(),
    ]
    await postgres.kill()
    for (const call of calls) await expect(call()).rejects.toMatchObject(away)
    await postgres.restart()
    await untilUsable(store)
    for (const call of calls) await call()
    expect((await store.runs.list({})).items).toHaveLength(2)
  })

  test.each(['kill', 'crash'] as const)(
    'what was acknowledged before a %s in mid-flood is there, and what is sent again is there once',
    async (end) => {
      const store = await openOne()
      const ids = Array.from({ length: 300 }, (_, index) => `d${String(index)}`)
      let tellFirst: () => void = () => undefined
      const first = new Promise<void>((resolve) => (tellFirst = resolve))
      const flood = Promise.allSettled(
        ids.map(async (id, index) => {
          // In groups, so that some are under way when the end comes.
          for (let turn = 0; turn < index / 10; turn += 1) await new Promise((resolve) => setImmediate(resolve))
          await store.deliveries.accept(makeDelivery(id)).then(tellFirst)
          return id
        }),
      )
      await first
      await postgres[end]()
      const results = await flood
      const acknowledged = results.filter((result) => result.status === 'fulfilled').map(({ value }) => value)
      expect(acknowledged.length).toBeGreaterThan(0)
      const refused = results.filter((result) => result.status === 'rejected').map(({ reason }): unknown => reason)
      expect(refused).toEqual(refused.map(() => expect.objectContaining(away) as unknown))
      await postgres.restart()
      await untilUsable(store)
      for (const id of acknowledged) expect(await store.deliveries.accept(makeDelivery(id))).toMatchObject({ type: 'duplicate' })
      for (const id of ids) await store.deliveries.accept(makeDelivery(id))
      expect((await store.runs.listOpen()).map(({ number }) => number)).toEqual(ids.map((_, index) => index + 1))
    },
  )

  test('who waits is woken when it is back, and hears of what the others commit from then on', async () => {
    const [a, b] = await many.open(2)
    if (a === undefined || b === undefined) throw new Error('asked for two')
    const run = await startRun(a)
    const waiting = a.runs.waitForEvents(run.id, { after: 0, timeoutMs: long })
    await untilAnswered('select "last_seq" from "runs"%')
    await postgres.kill()
    await postgres.restart()
    await waiting
    await Promise.all([untilUsable(a), untilUsable(b)])
    const again = a.runs.waitForEvents(run.id, { after: 0, timeoutMs: long })
    await b.runs.record(run.id, [{ source: 'run', epoch: 0, n: 0, at: 1, body: { type: 'waiting', for: 'a' } }])
    await again
    expect(await a.runs.events(run.id, { after: 0, limit: 10 })).toHaveLength(1)
  })

  test('connections that an administrator ends are made again', async () => {
    const store = await openOne()
    await startRun(store)
    const waiting = store.outbox.wait(long)
    await untilAnswered('select%from "outbox"%limit%')
    await postgres.execute(
      `select pg_terminate_backend(pid) from pg_stat_activity where datname = '${new URL(many.url).pathname.slice(1)}'`,
    )
    // Ended, and woken by the listener that came back.
    await waiting
    await untilUsable(store)
    expect((await store.runs.list({})).items).toHaveLength(1)
  })

  test('a store can be closed', async () => {
    const store = await openOne()
    await postgres.kill()
    await store.close()
    await expect(store.ping()).rejects.toMatchObject({ code: 'unavailable', message: 'the store is closed' })
    await postgres.restart()
  })
})

describe('while the disk of PostgreSQL is full', () => {
  test('even if it ends for that: what was acknowledged is there, the rest was refused, and both can be sent again', async () => {
    const missing = smallDiskMissing()
    skipUnless(missing === undefined, missing ?? '')
    const home = await mkdtemp(join(tmpdir(), 'belay-full-'))
    ends.push(() => rm(home, { recursive: true, force: true }))
    await mkdir(join(home, 'data'))
    const owner = findPostgresUser() ?? { uid: 0, gid: 0 }
    const disk = await mountSmallDisk({ bytes: 200_000_000, owner, at: join(home, 'data') })
    ends.push(() => disk.remove())
    const full = await startPostgres({ home, freshJournal: true })
    ends.push(() => full.stop())
    const stores = await prepareManyStores(await full.createDatabase())
    ends.push(() => stores.cleanup())
    const [store] = await stores.open(1)
    if (store === undefined) throw new Error('asked for one')
    // Enough for its tables, and not for one more file of its journal.
    await disk.leaveFree(512 * 1024)
    const acknowledged: string[] = []
    const refused: unknown[] = []
    const isPanic = () => full.output().includes('PANIC')
    await until('it has no room for its journal', async () => {
      const ids = Array.from({ length: 50 }, (_, index) => `${String(acknowledged.length + refused.length)}-${String(index)}`)
      const accepted = await Promise.allSettled(ids.map((id) => store.deliveries.accept(makeDelivery(id))))
      for (const [index, one] of accepted.entries()) {
        if (one.status === 'fulfilled') acknowledged.push(ids[index] ?? '')
        else refused.push(one.reason)
      }
      return isPanic()
    })
    expect(refused.length).toBeGreaterThan(0)
    expect(refused).toEqual(refused.map(() => expect.objectContaining(away) as unknown))
    await disk.leaveFree(100_000_000)
    await until('it is there again', async () => {
      if (full.pid() === undefined) await full.restart()
      return store.ping().then(
        () => true,
        () => false,
      )
    })
    await untilUsable(store)
    for (const id of acknowledged) expect(await store.deliveries.accept(makeDelivery(id))).toMatchObject({ type: 'duplicate' })
    expect(await store.deliveries.accept(makeDelivery('after'))).toMatchObject({ type: 'accepted' })
  })
})

describe('a database that cannot be used', () => {
  /** The error, which says nowhere what must not be said. */
  async function refusal(url: string): Promise<unknown> {
    const stores = await prepareManyStores(url)
    const error: unknown = await stores.open(1).then(
      () => 'it could be used',
      (reason: unknown) => reason,
    )
    await stores.cleanup()
    const told = inspect(error, { depth: 10, showHidden: true })
    for (const secret of [postgresPassword, encodeURIComponent(postgresPassword), 'hunter2']) expect(told).not.toContain(secret)
    return error
  }

  test('because nobody listens there is unavailable; the password is in no part of the error', async () => {
    const url = new URL(many.url)
    url.port = String(await findFreePort())
    expect(await refusal(url.href)).toMatchObject({ ...away, hint: expect.stringContaining(`127.0.0.1:${url.port}`) as string })
  })

  test('because the password is wrong, or there is no such database, is unavailable and says which', async () => {
    const wrong = new URL(many.url)
    wrong.password = 'hunter2'
    expect(await refusal(wrong.href)).toMatchObject({ ...away, hint: expect.stringContaining('password') as string })
    const missing = new URL(many.url)
    missing.pathname = '/nothing'
    expect(await refusal(missing.href)).toMatchObject({ ...away, hint: expect.stringContaining('create it') as string })
  })

  test.each([
    'mysql://u:hunter2@127.0.0.1/x',
    'postgresql://u:hunter2@127.0.0.1:none/x',
    'postgresql://u:hunter2%@[::/x',
    'hunter2',
  ])('because its URL is none is refused without repeating it: case %#', async (url) => {
    expect(await refusal(url)).toMatchObject({ code: 'invalid_config', retryable: false })
  })

  test('because a commit there is not on disk when it is answered is refused', async () => {
    await postgres.execute(`alter database ${new URL(many.url).pathname.slice(1)} set synchronous_commit = off`)
    expect(await refusal(many.url)).toMatchObject({
      code: 'refused',
      hint: expect.stringContaining('synchronous_commit') as string,
    })
  })

  test('because it cannot hold every text is refused', async () => {
    await postgres.execute(`create database ascii encoding 'SQL_ASCII' template template0`)
    const url = new URL(many.url)
    url.pathname = '/ascii'
    expect(await refusal(url.href)).toMatchObject({ code: 'refused', hint: expect.stringContaining('UTF8') as string })
  })

  test('because it was written by a newer Belay is refused', async () => {
    const url = many.url
    await openOne()
    const client = new Client({ connectionString: url })
    await client.connect()
    await client.query(`update meta set value = '9999' where key = 'schema'`)
    await client.end()
    expect(await refusal(url)).toMatchObject({ code: 'refused', hint: expect.stringContaining('newer Belay') as string })
  })
})
