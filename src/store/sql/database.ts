import { mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import Libsql from 'libsql'
import { Kysely } from 'kysely'
import type { Transaction } from 'kysely'
import { BelayError, messageOf } from '../../domain/errors.ts'
import { createHub } from '../hub.ts'
import type { Hub } from '../hub.ts'
import { createLibsqlDialect } from './libsql-dialect.ts'
import { migrate } from './migrate.ts'
import type { Tables } from './schema.ts'
import { toStoreError } from './store-error.ts'

export type Tx = Transaction<Tables>

/** Who waits on this topic is woken once the transaction is committed; if it is not, nobody is. */
export type Tell = (topic: string) => void

/** A transaction under way. */
export interface Write {
  tx: Tx
  tell: Tell
  now: number
}

/** What the rest of the store sees of its database, whichever engine it has. Reads never see half a transaction. */
export interface StoreDatabase {
  /** For reading only, and never inside `write`: it may have to wait for the connection that `write` has. */
  readonly read: Kysely<Tables>
  /**
   * One transaction; on disk when it resolves, without trace when it rejects. `work` may be called again: of two transactions
   * that wait for each other PostgreSQL fails one. What it reads and then writes it locks (see `lock.ts`).
   */
  write<T>(work: (tx: Tx, tell: Tell) => Promise<T>): Promise<T>
  /** Are the directories of logs and blobs written by other machines, too? */
  readonly sharesFiles: boolean
  /** Where one waits for what transactions tell. */
  readonly hub: Hub
  /** Ms since 1970. */
  now(): number
  /** Wakes who waits, and resolves when what is under way has ended. */
  close(): Promise<void>
}

export interface DatabaseOptions {
  file: string
  now?: (() => number) | undefined
  /** Upper limit of the file, in pages of 4 KiB: above it every write is `unavailable`. */
  maxPages?: number | undefined
}

/** How long SQLite itself may wait, holding up this process: long while we open, hardly at all afterwards (see the dialect). */
const openTimeoutMs = 5_000
const busyTimeoutMs = 20

/**
 * SQLite: opens (or makes) the database and brings its tables up to date. Throws `unavailable`; `refused` if it is newer
 * than we are. One connection, given to one query or transaction at a time; wake-ups stay within this process.
 */
export async function openDatabase(options: DatabaseOptions): Promise<StoreDatabase> {
  const connection = connect(options)
  const kysely = new Kysely<Tables>({ dialect: createLibsqlDialect(connection) })
  try {
    await kysely.transaction().execute((tx) => migrate(tx))
  } catch (error) {
    connection.close()
    throw error
  }
  const hub = createHub()
  return {
    read: kysely,
    async write(work) {
      const told = new Set<string>()
      const result = await kysely.transaction().execute((tx) => work(tx, (topic) => told.add(topic)))
      for (const topic of told) hub.notify(topic)
      return result
    },
    sharesFiles: false,
    hub,
    now: options.now ?? Date.now,
    async close() {
      hub.close()
      // Waits its turn behind what is under way; what comes after it is told that we are closed.
      await kysely.connection().execute(() => {
        if (connection.open) connection.close()
        return Promise.resolve()
      })
    },
  }
}

function connect(options: DatabaseOptions): Libsql.Database {
  try {
    mkdirSync(dirname(options.file), { recursive: true, mode: 0o700 })
    const connection = new Libsql(options.file, { timeout: openTimeoutMs })
    connection.pragma('journal_mode = WAL')
    connection.pragma('synchronous = FULL')
    connection.pragma('foreign_keys = ON')
    if (options.maxPages !== undefined) connection.pragma(`max_page_count = ${String(Math.trunc(options.maxPages))}`)
    connection.pragma(`busy_timeout = ${String(busyTimeoutMs)}`)
    return connection
  } catch (error) {
    const translated = toStoreError(error)
    if (translated instanceof BelayError) throw translated
    throw new BelayError({
      code: 'unavailable',
      message: `the database ${options.file} cannot be opened: ${messageOf(error)}`,
      hint: 'Does its directory exist, and may this user write there?',
      retryable: true,
      cause: error,
    })
  }
}
