import { mkdirSync } from 'node:fs'
import { createBlobFiles } from './blobs/files.ts'
import { createHousekeeping } from './housekeeping/housekeeping.ts'
import { createLogFiles } from './logs/files.ts'
import { createAuditStore } from './sql/audit.ts'
import { createCommandStore } from './sql/commands.ts'
import { openDatabase } from './sql/database.ts'
import type { StoreDatabase, Tx } from './sql/database.ts'
import { createDeliveryStore } from './sql/deliveries.ts'
import { createEnvironmentStore } from './sql/environments.ts'
import { createHolderStore } from './sql/holders.ts'
import { lock } from './sql/lock.ts'
import { createLogRows } from './sql/log-rows.ts'
import { createOutboxStore } from './sql/outbox.ts'
import { createPollStore } from './sql/polls.ts'
import { openPostgres } from './sql/postgres/database.ts'
import { createPresenceStore } from './sql/presence.ts'
import { createReleaseStore } from './sql/releases.ts'
import { createRunStore } from './sql/runs.ts'
import { createTokenStore } from './sql/tokens.ts'
import type { Store } from './store.ts'

export interface StoreOptions {
  /** File of the SQLite database, made if it is not there; or PostgreSQL. The URL may hold a password: it is never repeated. */
  database: string | { url: string }
  /** Directories, made if they are not there. With PostgreSQL they are shared by all servers. */
  blobs: string
  logs: string
  /** Ms since 1970; default: this machine's clock. */
  now?: () => number
  limits?: {
    /** SQLite: size of the database in pages of 4 KiB: above it, writes are `unavailable`. Default: the disk. */
    databasePages?: number
    /** Size of one log. Default: 100 MB. */
    logBytes?: number
  }
}

/**
 * The store: SQLite and files on one machine, PostgreSQL and shared directories on many. Several processes may open the same
 * one. With PostgreSQL a wake-up reaches all of them; with SQLite only its own process, the others see a write when they
 * look next. Throws `unavailable`; `refused` if the data is newer than we are; `invalid_config` for a URL that is none.
 */
export async function openStore(options: StoreOptions): Promise<Store> {
  mkdirSync(options.logs, { recursive: true, mode: 0o700 })
  const blobs = await createBlobFiles({ directory: options.blobs, now: options.now })
  const { limits } = options
  const database = await openEngine(options)
  const id = await loadStoreId(database).catch(async (error: unknown) => {
    await database.close()
    throw error
  })
  const logs = createLogFiles({
    directory: options.logs,
    rows: createLogRows(database),
    hub: database.hub,
    limitBytes: limits?.logBytes,
  })
  return {
    id,
    deliveries: createDeliveryStore(database),
    commands: createCommandStore(database),
    runs: createRunStore(database),
    holders: createHolderStore(database),
    logs,
    blobs,
    releases: createReleaseStore(database),
    environments: createEnvironmentStore(database),
    tokens: createTokenStore(database),
    audit: createAuditStore(database),
    presence: createPresenceStore(database),
    polls: createPollStore(database),
    outbox: createOutboxStore(database),
    housekeeping: createHousekeeping({ database, logs, blobs }),
    notePayloadKey: (keys) => database.write((tx) => notePayloadKey(tx, keys)),
    ping: () => ping(database),
    close: () => database.close(),
  }
}

function openEngine({ database, now, limits }: StoreOptions): Promise<StoreDatabase> {
  if (typeof database !== 'string') return openPostgres({ url: database.url, now })
  return openDatabase({ file: database, now, maxPages: limits?.databasePages })
}

async function loadStoreId({ read }: StoreDatabase): Promise<string> {
  const row = await read.selectFrom('meta').select('value').where('key', '=', 'store_id').executeTakeFirstOrThrow()
  return row.value
}

const payloadKey = 'payload_key'

async function notePayloadKey(tx: Tx, { encrypts, knows }: Parameters<Store['notePayloadKey']>[0]) {
  await lock(tx, payloadKey)
  const noted = await tx.selectFrom('meta').select('value').where('key', '=', payloadKey).executeTakeFirst()
  if (noted !== undefined && !knows.includes(noted.value)) return { missing: noted.value }
  if (encrypts === undefined || encrypts === noted?.value) return {}
  const row = { key: payloadKey, value: encrypts }
  await tx
    .insertInto('meta')
    .values(row)
    .onConflict((conflict) => conflict.column('key').doUpdateSet(row))
    .execute()
  return {}
}

/** Really writes: a database that can only be read takes no delivery. */
async function ping(database: StoreDatabase): Promise<void> {
  const row = { key: 'pinged_at', value: String(database.now()) }
  await database.write((tx) =>
    tx
      .insertInto('meta')
      .values(row)
      .onConflict((conflict) => conflict.column('key').doUpdateSet(row))
      .execute(),
  )
}
