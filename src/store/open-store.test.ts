import { appendFile, mkdtemp, rm, truncate } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { afterEach, describe, expect, test } from 'vitest'
import { storeContract } from '../../test/contracts/store.contract.ts'
import type { Limits, StoreUnderTest } from '../../test/contracts/store/samples.ts'
import { logPath } from './logs/paths.ts'
import { openStore } from './open-store.ts'
import type { Store } from './store.ts'

storeContract('SQLite and files', openForTest)

describe('openStore', () => {
  const cleanups: (() => Promise<void>)[] = []
  afterEach(async () => {
    for (const cleanup of cleanups.splice(0)) await cleanup()
  })

  async function makeDirectory(): Promise<string> {
    const directory = await mkdtemp(join(tmpdir(), 'belay-store-'))
    cleanups.unshift(() => rm(directory, { recursive: true, force: true }))
    return directory
  }

  test('two that open the same new data at once agree on one store', async () => {
    const directory = await makeDirectory()
    const stores = await Promise.all([openStore(placesIn(directory)), openStore(placesIn(directory))])
    cleanups.unshift(...stores.map((store) => () => store.close()))
    expect(stores[0].id).toBe(stores[1].id)
  })

  test('a place that cannot be written is unavailable, with a hint', async () => {
    const directory = await makeDirectory()
    const places = { ...placesIn(directory), database: join(directory, 'blobs') }
    await expect(openStore(places)).rejects.toMatchObject({
      code: 'unavailable',
      retryable: true,
      hint: expect.any(String) as string,
    })
  })
})

function placesIn(directory: string) {
  return { database: join(directory, 'belay.db'), blobs: join(directory, 'blobs'), logs: join(directory, 'logs') }
}

async function openForTest(limits?: Limits): Promise<StoreUnderTest> {
  const directory = await mkdtemp(join(tmpdir(), 'belay-store-'))
  const places = placesIn(directory)
  const clock = { now: 1_000_000 }
  const now = () => clock.now
  const opened: Store[] = []
  const keep = (store: Store) => {
    opened.unshift(store)
    return store
  }
  return {
    store: keep(await openStore({ ...places, now, ...(limits === undefined ? {} : { limits }) })),
    clock,
    async reopen() {
      await opened.shift()?.close()
      return keep(await openStore({ ...places, now }))
    },
    async tearLog(key, bytes) {
      const file = join(places.logs, logPath(key).file)
      const committed = (await opened[0]?.logs.list(key.runId, key.step))?.[0]?.sizeBytes ?? 0
      await truncate(file, committed)
      await appendFile(file, bytes)
    },
    writeFromElsewhere: (transactions) => writeFromThread(places.database, transactions),
    async cleanup() {
      for (const store of opened.splice(0)) await store.close()
      await rm(directory, { recursive: true, force: true })
    },
  }
}

/** A thread with a connection of its own, as another process has: takes numbers of the triggers' counter. */
function writeFromThread(file: string, transactions: number): Promise<void> {
  const program = `
    const { workerData } = require('node:worker_threads')
    const Libsql = require(workerData.libsql)
    const database = new Libsql(workerData.file, { timeout: 5000 })
    for (let done = 0; done < workerData.transactions; done += 1) {
      database.exec('begin immediate')
      database.exec("insert into counters values ('trigger', 1) on conflict do update set value = value + 1")
      database.exec('commit')
    }
    database.close()`
  const libsql = createRequire(import.meta.url).resolve('libsql')
  const worker = new Worker(program, { eval: true, workerData: { file, transactions, libsql } })
  return new Promise((resolve, reject) => {
    worker.once('error', reject)
    worker.once('exit', (code) => {
      if (code === 0) resolve()
      else reject(new Error(`the other writer ended with ${String(code)}`))
    })
  })
}
