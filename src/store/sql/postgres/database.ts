import { randomUUID } from 'node:crypto'
import { Kysely, PostgresDialect, sql } from 'kysely'
import { BelayError } from '../../../domain/errors.ts'
import { createHub } from '../../hub.ts'
import type { StoreDatabase, Tell, Tx } from '../database.ts'
import { lock } from '../lock.ts'
import { migrate } from '../migrate.ts'
import type { Tables } from '../schema.ts'
import { storeClosed } from '../store-error.ts'
import { createConnections } from './connections.ts'
import type { ConnectionOptions } from './connections.ts'
import { isConflict } from './errors.ts'
import { channel, startListener } from './listener.ts'
import { placeOf } from './place.ts'

export interface PostgresOptions {
  url: string
  now?: (() => number) | undefined
}

const closeTimeoutMs = 5_000

/** How often a transaction is tried that others got in the way of. */
const greatestTries = 8

/**
 * PostgreSQL, for any number of processes on any number of machines: brings its tables up to date (one process at a time)
 * and listens for what the others commit. Throws `unavailable`; `refused` if it is newer than we are or cannot be used.
 */
export async function openPostgres(options: PostgresOptions): Promise<StoreDatabase> {
  const place = placeOf(options.url)
  const hub = createHub()
  const sender = randomUUID()
  await prepare({ url: options.url, place, hurry: false })
  const connection = { url: options.url, place, hurry: true }
  const listener = await startListener({ ...connection, hub, sender })
  const { kysely, pool } = connect(connection)

  async function attempt<T>(work: (tx: Tx, tell: Tell) => Promise<T>): Promise<T> {
    const told = new Set<string>()
    const result = await kysely.transaction().execute(async (tx) => {
      const done = await work(tx, (topic) => told.add(topic))
      if (told.size > 0) await publish(tx, sender, [...told])
      return done
    })
    for (const topic of told) hub.notify(topic)
    return result
  }

  const underWay = new Set<Promise<unknown>>()
  let closed: Promise<void> | undefined

  function write<T>(work: (tx: Tx, tell: Tell) => Promise<T>): Promise<T> {
    if (closed !== undefined) return Promise.reject(storeClosed())
    const written = insist(() => attempt(work))
    const settled = written.then(ignore, ignore).finally(() => underWay.delete(settled))
    underWay.add(settled)
    return written
  }

  async function close(): Promise<void> {
    hub.close()
    await Promise.all(underWay)
    await withinTime(Promise.all([pool.end(), listener.close()]))
  }

  return { read: kysely, write, sharesFiles: true, hub, now: options.now ?? Date.now, close: () => (closed ??= close()) }
}

/** A server that has vanished from the network says no good-bye: it is not waited for. */
async function withinTime(ended: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise((resolve) => (timer = setTimeout(resolve, closeTimeoutMs)))
  await Promise.race([ended, late])
  clearTimeout(timer)
}

function ignore(): void {
  // It is the caller's.
}

/** Tables, and whether we can keep our word here. On a connection of its own: whoever comes second waits for the first. */
async function prepare(options: ConnectionOptions): Promise<void> {
  const { kysely, pool } = connect(options)
  try {
    await kysely.transaction().execute(async (tx) => {
      await checkServer(tx)
      await lock(tx, 'migrate')
      await migrate(tx)
    })
  } finally {
    await pool.end()
  }
}

/** We end the pool, not Kysely: what is asked after that is told that the store is closed. */
function connect(options: ConnectionOptions) {
  const pool = createConnections(options)
  return { pool, kysely: new Kysely<Tables>({ dialect: new PostgresDialect({ pool }) }) }
}

async function checkServer(tx: Tx): Promise<void> {
  const { rows } = await sql<{ commit: string; encoding: string }>`
    select current_setting('synchronous_commit') as commit, current_setting('server_encoding') as encoding`.execute(tx)
  const [server] = rows
  if (server?.commit === 'off') {
    throw new BelayError({
      code: 'refused',
      message: 'this PostgreSQL answers before a commit is on disk (synchronous_commit is off)',
      hint: 'Set synchronous_commit to on, at least for this database: a delivery that was acknowledged must not be lost.',
    })
  }
  if (server?.encoding !== 'UTF8') {
    throw new BelayError({
      code: 'refused',
      message: `the database has the encoding ${String(server?.encoding)}`,
      hint: "Create it with encoding 'UTF8'.",
    })
  }
}

/** Heard by every process once this transaction is committed, and by none if it is not. */
async function publish(tx: Tx, sender: string, topics: readonly string[]): Promise<void> {
  const messages = topics.map((topic) => sql`(${`${sender} ${topic}`})`)
  await sql`select pg_notify(${channel}, told.message) from (values ${sql.join(messages)}) as told (message)`.execute(tx)
}

async function insist<T>(attempt: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await attempt()
    } catch (error) {
      if (!isConflict(error) || tries === greatestTries) throw error
      // Those who met each other should not meet again.
      await new Promise((resolve) => setTimeout(resolve, Math.random() * 20 * tries))
    }
  }
}
