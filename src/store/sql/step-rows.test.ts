import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { RunEvent } from '../../domain/run-event.ts'
import { digestOf, makeTrigger, stepEvent } from '../../../test/contracts/store/samples.ts'
import { openDatabase } from './database.ts'
import type { StoreDatabase } from './database.ts'
import { recordEvents } from './record-events.ts'
import { startRun } from './start-run.ts'

let directory: string
let database: StoreDatabase
let runId: string

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'belay-steps-'))
  database = await openDatabase({ file: join(directory, 'belay.db') })
  const { run } = await database.write((tx) => startRun(tx, { project: 'shop', trigger: makeTrigger(), key: 'k', now: 1 }))
  runId = run.id
})

afterEach(async () => {
  await database.close()
  await rm(directory, { recursive: true, force: true })
})

describe('artifact rows', () => {
  test('are written once per path and digest, by outcomes that carry them', async () => {
    const first = outcome(0, 1, 'a')
    await record([first, first, outcome(1, 2, 'b'), outcome(2, 3, 'a')])
    const rows = await database.read
      .selectFrom('artifacts')
      .select(['step', 'path', 'digest', 'size_bytes'])
      .orderBy('created_at')
      .execute()
    expect(rows).toEqual(
      ['a', 'b'].map((content) => ({ step: 'unit', path: 'dist/app', digest: digestOf(content), size_bytes: 1 })),
    )
  })

  test('are not written by an outcome that moves nothing', async () => {
    await record([stepEvent(0, { status: 'succeeded', epoch: 2 }), outcome(1, 1, 'a')])
    expect(await database.read.selectFrom('artifacts').select('path').execute()).toEqual([])
  })
})

function record(events: RunEvent[]): Promise<void> {
  return database.write((tx, tell) => recordEvents({ tx, tell, now: 1 }, runId, events))
}

function outcome(n: number, attempt: number, content: string) {
  const artifact = { path: 'dist/app', digest: digestOf(content), sizeBytes: 1, executable: true }
  return stepEvent(n, { status: 'succeeded', attempt, result: { artifacts: [artifact] } })
}
