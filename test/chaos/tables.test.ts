import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { openStore } from '../../src/store/open-store.ts'
import { startRun } from '../contracts/store/samples.ts'
import { postgresOfFile } from '../helpers/postgres.ts'
import { openTables } from './tables.ts'

const postgres = postgresOfFile()
const directories: string[] = []

afterEach(() => {
  for (const directory of directories.splice(0)) rmSync(directory, { recursive: true, force: true })
})

type Database = Parameters<typeof openTables>[0]

describe.each<[string, (directory: string) => Promise<Database>]>([
  ['SQLite', (directory) => Promise.resolve(join(directory, 'belay.db'))],
  ['PostgreSQL', async () => ({ url: await (await postgres()).createDatabase() })],
])('%s', (_, prepare) => {
  it('shows every table and every row, while the store has it open', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'belay-tables-'))
    directories.push(directory)
    const database = await prepare(directory)
    const store = await openStore({ database, blobs: join(directory, 'blobs'), logs: join(directory, 'logs') })
    const run = await startRun(store)
    await store.logs.append(
      { runId: run.id, step: 'build', attempt: 1, epoch: 1, part: 'step' },
      { offset: 0, bytes: Buffer.from('four'), final: true },
    )
    const tables = await openTables(database)
    try {
      expect(await tables.names()).toEqual(
        expect.arrayContaining(['deliveries', 'runs', 'run_events', 'logs', 'outbox', 'audit', 'meta']),
      )
      expect(await tables.rows('logs')).toMatchObject([
        { run_id: run.id, step: 'build', size_bytes: '4', closed: '1', truncated: '0' },
      ])
      expect(await tables.rows('runs')).toMatchObject([{ id: run.id, project: 'shop', status: 'queued', ended_at: null }])
    } finally {
      await tables.close()
      await store.close()
    }
  })
})
