/** A database, read past the store: every table and every row of it, as text and bytes. */
import Libsql from 'libsql'
import { Client } from 'pg'

export type Row = Record<string, string | Buffer | null>

export interface Tables {
  names(): Promise<string[]>
  /** All rows of a table; numbers as text. */
  rows(table: string): Promise<Row[]>
  close(): Promise<void>
}

export function openTables(database: string | { url: string }): Promise<Tables> {
  return typeof database === 'string' ? Promise.resolve(openSqlite(database)) : openPostgres(database.url)
}

function openSqlite(file: string): Tables {
  const connection = new Libsql(file, { readonly: true, timeout: 5_000 })
  return {
    names() {
      const found = connection.prepare(`select name from sqlite_master where type = 'table'`).all() as { name: string }[]
      return Promise.resolve(found.map(({ name }) => name))
    },
    rows(table) {
      const found = connection.prepare(`select * from ${quoted(table)}`).all() as Record<string, unknown>[]
      return Promise.resolve(found.map(toRow))
    },
    close() {
      connection.close()
      return Promise.resolve()
    },
  }
}

const bytea = 17

async function openPostgres(url: string): Promise<Tables> {
  const getTypeParser = (oid: number) => (text: string) => (oid === bytea ? Buffer.from(text.slice(2), 'hex') : text)
  const client = new Client({ connectionString: url, types: { getTypeParser } })
  await client.connect()
  return {
    async names() {
      const found = await client.query<{ name: string }>(
        `select table_name as name from information_schema.tables where table_schema = current_schema()`,
      )
      return found.rows.map(({ name }) => name)
    },
    async rows(table) {
      const found = await client.query<Record<string, unknown>>(`select * from ${quoted(table)}`)
      return found.rows.map(toRow)
    },
    close: () => client.end(),
  }
}

function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}

function toRow(row: Record<string, unknown>): Row {
  return Object.fromEntries(Object.entries(row).map(([column, value]) => [column, toCell(value)]))
}

function toCell(value: unknown): string | Buffer | null {
  if (value === null || value === undefined) return null
  if (value instanceof ArrayBuffer || value instanceof Uint8Array) return Buffer.from(value as Uint8Array)
  return typeof value === 'string' ? value : JSON.stringify(value)
}
