import type { PostgresPool, PostgresPoolClient, PostgresQueryResult } from 'kysely'
import { DatabaseError, Pool, types } from 'pg'
import type { ClientConfig, PoolClient } from 'pg'
import { BelayError } from '../../../domain/errors.ts'
import { storeClosed } from '../store-error.ts'
import { toPostgresError } from './errors.ts'

export interface ConnectionOptions {
  url: string
  /** For messages: where the URL leads. */
  place: string
  /** False: statements take as long as they take. */
  hurry: boolean
}

/** Few for each process: a server takes a hundred by default, and all of them together write to one disk. */
const greatestCount = 10
const connectTimeoutMs = 5_000
const statementTimeoutMs = 30_000
/** Of a machine that is gone, PostgreSQL gives up the transaction, and its locks, after this. */
const idleTransactionMs = 30_000

/** What every connection of ours has, the listener's too. */
export function clientConfig({ url, hurry }: ConnectionOptions): ClientConfig {
  return {
    connectionString: url,
    application_name: 'belay',
    connectionTimeoutMillis: connectTimeoutMs,
    keepAlive: true,
    idle_in_transaction_session_timeout: idleTransactionMs,
    // Ours is a little longer: it is for the wire, theirs for the statement.
    ...(hurry ? { statement_timeout: statementTimeoutMs, query_timeout: statementTimeoutMs + 5_000 } : {}),
    types: { getTypeParser },
  }
}

/**
 * The pool as Kysely's dialect wants it: errors are `BelayError`s, a connection that failed is never used again, and `end`
 * first waits for what is under way.
 */
export function createConnections(options: ConnectionOptions): PostgresPool {
  const pool = new Pool({ ...clientConfig(options), max: greatestCount })
  // An idle connection that breaks leaves the pool by itself; without a listener it would end the process.
  pool.on('error', ignore)
  let taken = 0
  let ended: Promise<void> | undefined
  let tellIdle: (() => void) | undefined

  function giveBack(): void {
    taken -= 1
    if (taken === 0) tellIdle?.()
  }

  async function end(): Promise<void> {
    if (taken > 0) await new Promise<void>((resolve) => (tellIdle = resolve))
    await pool.end()
  }

  return {
    async connect() {
      if (ended !== undefined) throw storeClosed()
      taken += 1
      try {
        return wrap(await pool.connect(), options.place, giveBack)
      } catch (error) {
        giveBack()
        throw toPostgresError(error, options.place)
      }
    },
    end: () => (ended ??= end()),
  }
}

function wrap(client: PoolClient, place: string, giveBack: () => void): PostgresPoolClient {
  let broken = false
  // Lost while in use: whoever uses it hears of it by the next query.
  const onError = () => {
    broken = true
  }
  client.on('error', onError)

  async function query<R>(text: string, values: readonly unknown[]): Promise<PostgresQueryResult<R>> {
    try {
      return (await client.query({ text, values: values.map(toParameter) })) as unknown as PostgresQueryResult<R>
    } catch (error) {
      // PostgreSQL answered: the connection is good. Else nobody knows in what state it is.
      if (!(error instanceof DatabaseError)) broken = true
      throw toPostgresError(error, place)
    }
  }

  return {
    // Kysely also asks for cursors when it streams, which we never do.
    query: query as PostgresPoolClient['query'],
    release() {
      client.off('error', onError)
      client.release(broken)
      giveBack()
    },
  }
}

/** What SQLite takes and PostgreSQL does not: a zero byte in a text, and part of a millisecond. */
function toParameter(value: unknown): unknown {
  if (typeof value === 'string') return value.replaceAll('\0', '\uFFFD')
  return typeof value === 'number' && Number.isFinite(value) ? Math.trunc(value) : value
}

const int8 = 20

/** pg gives a bigint as text, for it may be greater than a number can be. Ours are counts, sizes and times. */
function getTypeParser(oid: number, format?: 'text' | 'binary'): unknown {
  return oid === int8 ? parseInt8 : types.getTypeParser(oid, format)
}

function parseInt8(text: string): number {
  const value = Number(text)
  if (Number.isSafeInteger(value)) return value
  throw new BelayError({ code: 'internal', message: 'the database holds a number that is too great' })
}

function ignore(): void {
  // Nobody has it.
}
