import type Libsql from 'libsql'
import { CompiledQuery, SqliteAdapter, SqliteIntrospector, SqliteQueryCompiler } from 'kysely'
import type { DatabaseConnection, Dialect, Driver, QueryResult, SelectModifierNode } from 'kysely'
import { isBusy, storeClosed, toStoreError } from './store-error.ts'

/**
 * Kysely on libsql. Beyond Kysely's own SQLite dialect: transactions take the write lock at once (`BEGIN IMMEDIATE`, so
 * two processes never deadlock in mid-transaction), statements are prepared once, and errors are `BelayError`s.
 */
export function createLibsqlDialect(database: Libsql.Database): Dialect {
  return {
    createAdapter: () => new SqliteAdapter(),
    createDriver: () => createDriver(database),
    createIntrospector: (kysely) => new SqliteIntrospector(kysely),
    createQueryCompiler: () => new LibsqlQueryCompiler(),
  }
}

/** `for update skip locked` is for PostgreSQL: here a transaction that writes has the whole database to itself. */
class LibsqlQueryCompiler extends SqliteQueryCompiler {
  protected override visitSelectModifier(node: SelectModifierNode): void {
    if (node.modifier === 'Distinct') super.visitSelectModifier(node)
  }
}

function createDriver(database: Libsql.Database): Driver {
  const connection = createConnection(database)
  const execute = async (sql: string) => {
    await connection.executeQuery(CompiledQuery.raw(sql))
  }
  // One connection: who wants it waits for who has it.
  const waiting: (() => void)[] = []
  let taken = false
  return {
    init: () => Promise.resolve(),
    async acquireConnection() {
      if (taken) await new Promise<void>((resolve) => waiting.push(resolve))
      taken = true
      return connection
    },
    beginTransaction: () => whenFree(() => execute('begin immediate')),
    commitTransaction: () => execute('commit'),
    async rollbackTransaction() {
      // A full disk ends the transaction by itself; a second rollback would hide the first error.
      if (database.inTransaction) await execute('rollback')
    },
    releaseConnection() {
      const next = waiting.shift()
      // Handed over, never free in between.
      if (next === undefined) taken = false
      else next()
      return Promise.resolve()
    },
    // Whoever opened the connection closes it.
    destroy: () => Promise.resolve(),
  }
}

/** How long a transaction waits for another connection's, and how often it asks. */
const busyTimeoutMs = 5_000
const busyPauseMs = 5

/**
 * Waits without holding up the event loop: whoever has the write lock may be a connection of this very process, which
 * SQLite's own (blocking) wait would keep from ever finishing.
 */
async function whenFree(begin: () => Promise<void>): Promise<void> {
  const deadline = performance.now() + busyTimeoutMs
  for (;;) {
    try {
      await begin()
      return
    } catch (error) {
      if (!isBusy(error) || performance.now() > deadline) throw error
    }
    await new Promise((resolve) => setTimeout(resolve, busyPauseMs))
  }
}

/** Above this many distinct statements the cache starts anew: lists of varying length must not fill the memory. */
const cachedStatements = 500

function createConnection(database: Libsql.Database): DatabaseConnection {
  const statements = new Map<string, Libsql.Statement<[readonly unknown[]]>>()

  function prepare(sql: string) {
    const known = statements.get(sql)
    if (known !== undefined) return known
    if (statements.size >= cachedStatements) statements.clear()
    const statement = database.prepare<[readonly unknown[]]>(sql)
    statements.set(sql, statement)
    return statement
  }

  function run<R>(query: CompiledQuery): QueryResult<R> {
    if (!database.open) throw storeClosed()
    try {
      const statement = prepare(query.sql)
      if (statement.reader) return { rows: statement.all(query.parameters) as R[] }
      const { changes, lastInsertRowid } = statement.run(query.parameters)
      return { rows: [], numAffectedRows: BigInt(changes), insertId: BigInt(lastInsertRowid) }
    } catch (error) {
      throw toStoreError(error)
    }
  }

  return {
    // libsql answers synchronously; a throw becomes a rejection.
    executeQuery: async (query) => run(query),
    streamQuery() {
      throw new RangeError('streaming is not used: lists are paged')
    },
  }
}
