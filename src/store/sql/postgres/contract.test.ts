import { appendFile, mkdtemp, rm, truncate } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Client } from 'pg'
import { storeContract } from '../../../../test/contracts/store.contract.ts'
import type { Limits, StoreUnderTest } from '../../../../test/contracts/store/samples.ts'
import { postgresOfFile } from '../../../../test/helpers/postgres.ts'
import type { Postgres } from '../../../../test/helpers/postgres.ts'
import { skipUnless } from '../../../../test/helpers/skips.ts'
import { mountSmallDisk, smallDiskMissing } from '../../../../test/helpers/small-disk.ts'
import type { SmallDisk } from '../../../../test/helpers/small-disk.ts'
import { logPath } from '../../logs/paths.ts'
import { openStore } from '../../open-store.ts'
import type { Store } from '../../store.ts'

const postgresHere = postgresOfFile()

storeContract('PostgreSQL and shared files', openForTest)

async function openForTest(limits: Limits = {}): Promise<StoreUnderTest> {
  const postgres = await postgresHere()
  const directory = await mkdtemp(join(tmpdir(), 'belay-store-'))
  const disk = limits.databasePages === undefined ? undefined : await prepareSmallDisk(postgres)
  const url = await postgres.createDatabase(disk === undefined ? {} : { tablespace: disk.name })
  const places = { database: { url }, blobs: join(directory, 'blobs'), logs: join(directory, 'logs') }
  const clock = { now: 1_000_000 }
  const now = () => clock.now
  const opened: Store[] = []
  const keep = (store: Store) => {
    opened.unshift(store)
    return store
  }
  const { logBytes } = limits
  const store = keep(await openStore({ ...places, now, ...(logBytes === undefined ? {} : { limits: { logBytes } }) }))
  // SQLite's file begins at nothing; here the tables of PostgreSQL itself are on the disk already.
  await disk?.leaveFree((limits.databasePages ?? 0) * 2_048)
  return {
    store,
    clock,
    async reopen() {
      await opened.shift()?.close()
      await disk?.leaveFree(50_000_000)
      return keep(await openStore({ ...places, now }))
    },
    async tearLog(key, bytes) {
      const file = join(places.logs, logPath(key).file)
      const committed = (await opened[0]?.logs.list(key.runId, key.step))?.[0]?.sizeBytes ?? 0
      await truncate(file, committed)
      await appendFile(file, bytes)
    },
    writeFromElsewhere: (transactions) => writeFromElsewhere(url, transactions),
    async cleanup() {
      await Promise.all(opened.splice(0).map((one) => one.close()))
      await postgres.execute(`drop database ${new URL(url).pathname.slice(1)}`)
      await disk?.removeWithTablespace()
      await rm(directory, { recursive: true, force: true })
    },
  }
}

/** Another client of the same database: takes numbers of the triggers' counter. */
async function writeFromElsewhere(url: string, transactions: number): Promise<void> {
  const client = new Client({ connectionString: url })
  await client.connect()
  try {
    for (let done = 0; done < transactions; done += 1) {
      await client.query(`insert into counters values ('trigger', 1) on conflict (name) do update set value = counters.value + 1`)
    }
  } finally {
    await client.end()
  }
}

let disks = 0

async function prepareSmallDisk(
  postgres: Postgres,
): Promise<SmallDisk & { name: string; removeWithTablespace(): Promise<void> }> {
  const missing = smallDiskMissing()
  skipUnless(missing === undefined, missing ?? '')
  if (postgres.user === undefined) throw new Error('root runs PostgreSQL as another user')
  disks += 1
  const name = `small_${String(disks)}`
  const disk = await mountSmallDisk({ bytes: 50_000_000, owner: postgres.user })
  await postgres.execute(`create tablespace ${name} location '${disk.directory}'`)
  return {
    ...disk,
    name,
    async removeWithTablespace() {
      await postgres.execute(`drop tablespace ${name}`)
      await disk.remove()
    },
  }
}
