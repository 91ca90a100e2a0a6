import { mkdirSync } from 'node:fs'
import { createBlobFiles } from './blobs/files.ts'
import { createHub } from './hub.ts'
import { createLogFiles } from './logs/files.ts'
import { createAuditStore } from './sql/audit.ts'
import { createCommandStore } from './sql/commands.ts'
import { openDatabase } from './sql/database.ts'
import type { StoreDatabase } from './sql/database.ts'
import { createDeliveryStore } from './sql/deliveries.ts'
import { createEnvironmentStore } from './sql/environments.ts'
import { createLogRows } from './sql/log-rows.ts'
import { createPollStore } from './sql/polls.ts'
import { createPresenceStore } from './sql/presence.ts'
import { createReleaseStore } from './sql/releases.ts'
import { createRunStore } from './sql/runs.ts'
import { createTokenStore } from './sql/tokens.ts'
import type { Store } from './store.ts'

export interface StoreOptions {
  /** File of the SQLite database; made if it is not there. */
  database: string
  /** Directories; made if they are not there. */
  blobs: string
  logs: string
  /** Ms since 1970; default: this machine's clock. */
  now?: () => number
  limits?: {
    /** Size of the database in pages of 4 KiB: above it, writes are `unavailable`. Default: the disk. */
    databasePages?: number
    /** Size of one log. Default: 100 MB. */
    logBytes?: number
  }
}

/**
 * The store on one machine: SQLite and files. Several processes may open the same one; wake-ups reach only their own
 * process, the others see a write when they look next. Throws `unavailable`, or `refused` if the data is newer than we are.
 */
export async function openStore(options: StoreOptions): Promise<Store> {
  mkdirSync(options.logs, { recursive: true, mode: 0o700 })
  const blobs = await createBlobFiles(options.blobs)
  const { now, limits } = options
  const database = await openDatabase({ file: options.database, now, maxPages: limits?.databasePages })
  const hub = createHub()
  return {
    id: await loadStoreId(database),
    deliveries: createDeliveryStore(database, hub),
    commands: createCommandStore(database, hub),
    runs: createRunStore(database, hub),
    logs: createLogFiles({ directory: options.logs, rows: createLogRows(database), hub, limitBytes: limits?.logBytes }),
    blobs,
    releases: createReleaseStore(database),
    environments: createEnvironmentStore(database),
    tokens: createTokenStore(database),
    audit: createAuditStore(database),
    presence: createPresenceStore(database),
    polls: createPollStore(database, hub),
    ping: () => ping(database),
    async close() {
      hub.close()
      await database.close()
    },
  }
}

async function loadStoreId({ read }: StoreDatabase): Promise<string> {
  const row = await read.selectFrom('meta').select('value').where('key', '=', 'store_id').executeTakeFirstOrThrow()
  return row.value
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
