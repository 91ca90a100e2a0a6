/** What a clean-up does to files, beyond the contract that both engines keep. */
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, rm, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { ana, digestOf, makeTrigger, stepEvent, streamOf } from '../../../test/contracts/store/samples.ts'
import { defaults } from '../../domain/defaults.ts'
import { addUp, type Swept } from '../../domain/keep.ts'
import { openStore } from '../open-store.ts'
import { openDatabase, type StoreDatabase } from '../sql/database.ts'
import { createRunStore } from '../sql/runs.ts'
import type { Run, Store } from '../store.ts'
import { sweepArtifacts } from './sweep-artifacts.ts'

const day = 86_400_000
let directory: string
let store: Store
let now: number

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'belay-housekeeping-'))
  now = Date.now()
  const places = { database: join(directory, 'belay.db'), blobs: join(directory, 'blobs'), logs: join(directory, 'logs') }
  store = await openStore({ ...places, now: () => now })
})

afterEach(async () => {
  await store.close()
  await rm(directory, { recursive: true, force: true })
})

async function sweep(): Promise<Swept[]> {
  const swept: Swept[] = []
  for await (const one of store.housekeeping.sweep({ keep: defaults.keep, dry: false, images: join(directory, 'images') }))
    swept.push(one)
  return addUp(swept)
}

async function endedRun(key: string, endedAt: number): Promise<Run> {
  const run = await store.runs.start({ project: 'shop', trigger: makeTrigger(), key })
  await store.runs.finish(run.id, { status: 'succeeded', at: endedAt }, [])
  return run
}

async function stray(runId: string, name: string, writtenAt: number): Promise<string> {
  const folder = join(directory, 'logs', runId.slice(0, 2), runId)
  await mkdir(folder, { recursive: true })
  await writeFile(join(folder, name), 'stray')
  await utimes(join(folder, name), writtenAt / 1000, writtenAt / 1000)
  return join(folder, name)
}

describe('files of logs that no row has', () => {
  it('go a week after they were written, if their run has ended or is gone, and an empty directory with them', async () => {
    const run = await endedRun('over', now - 8 * day)
    const gone = 'ffffffff-0000-4000-8000-000000000000'
    const files = [await stray(run.id, 'unit.1.1.step.log', now - 8 * day), await stray(gone, 'unit.1.1.step.log', now - 8 * day)]
    const young = await stray(run.id, 'unit.2.1.step.log', now - 6 * day)
    expect(await sweep()).toContainEqual({ kind: 'log_files', count: 2, bytes: 10 })
    expect(files.map(existsSync)).toEqual([false, false])
    expect(existsSync(young)).toBe(true)
    expect(await readdir(join(directory, 'logs'))).toEqual([run.id.slice(0, 2), 'ff'].toSorted())
    expect(await readdir(join(directory, 'logs/ff'))).toEqual([])
  })

  it('stay while their run goes on: a row may still come', async () => {
    const run = await store.runs.start({ project: 'shop', trigger: makeTrigger(), key: 'open' })
    const file = await stray(run.id, 'unit.1.1.step.log', now - 300 * day)
    await sweep()
    expect(existsSync(file)).toBe(true)
  })
})

describe('blobs on their way out', () => {
  const digest = digestOf('needed')
  const hex = digest.slice('sha256:'.length)

  /** As a clean-up leaves it that was killed between its two steps. */
  async function leaveHalfWay(): Promise<void> {
    await store.blobs.put(digest, streamOf('needed'))
    const file = join(directory, 'blobs/sha256', hex.slice(0, 2), hex.slice(2))
    await rm(file)
    await writeFile(join(directory, 'blobs/leaving', hex), 'needed')
    await utimes(join(directory, 'blobs/leaving', hex), (now - 90 * day) / 1000, (now - 90 * day) / 1000)
  }

  it('are there for whoever asks for them', async () => {
    await leaveHalfWay()
    expect(await store.blobs.has(digest)).toBe(true)
    await leaveHalfWay()
    await expect(store.blobs.read(digest)).resolves.toBeDefined()
  })

  it('are taken back and young again when they are put', async () => {
    await leaveHalfWay()
    expect(await store.blobs.put(digest, streamOf('needed'))).toEqual({ created: false, sizeBytes: 6 })
    expect(await sweep()).toEqual([])
    expect(await store.blobs.has(digest)).toBe(true)
  })

  it('go with the next clean-up, if nothing names them', async () => {
    await leaveHalfWay()
    expect(await sweep()).toEqual([{ kind: 'blobs', count: 1, bytes: 6 }])
    expect(await readdir(join(directory, 'blobs/leaving'))).toEqual([])
    expect(await store.blobs.has(digest)).toBe(false)
  })
})

describe('artifacts of a run that ended long ago', () => {
  it('stay if somebody goes on with it between the look and the removal', async () => {
    const database = await openDatabase({ file: join(directory, 'other.db'), now: () => now })
    const runs = createRunStore(database)
    const { id: runId } = await runs.start({ project: 'shop', trigger: makeTrigger(), key: 'k' })
    const artifacts = [{ path: 'dist/app', digest: digestOf('app'), sizeBytes: 3, executable: false }]
    await runs.record(runId, [stepEvent(0, { status: 'succeeded', endedAt: 2, result: { artifacts } })])
    await runs.finish(runId, { status: 'failed', at: now - 31 * day }, [])
    const late: StoreDatabase = {
      ...database,
      async write(work) {
        await runs.resume({ runId, actor: ana, key: 'k' })
        return database.write(work)
      },
    }
    const context = { database: late, keep: defaults.keep, dry: false, now }
    const swept: Swept[] = []
    for await (const one of sweepArtifacts(context)) swept.push(one)
    expect(addUp(swept)).toEqual([])
    const kept = await database.read.selectFrom('artifacts').select('digest').where('run_id', '=', runId).execute()
    expect(kept).toEqual([{ digest: digestOf('app') }])
    await database.close()
  })
})

describe('images on this disk', () => {
  async function writeImage(name: string, writtenAt: number): Promise<string> {
    const blobs = join(directory, 'images/shop/app/blobs/sha256')
    await mkdir(blobs, { recursive: true })
    const write = async (content: string) => {
      const digest = digestOf(content)
      await writeFile(join(blobs, digest.slice(7)), content)
      await utimes(join(blobs, digest.slice(7)), writtenAt / 1000, writtenAt / 1000)
      return digest
    }
    const config = await write(`{"config of":"${name}"}`)
    return write(JSON.stringify({ schemaVersion: 2, config: { digest: config }, layers: [] }))
  }

  it('go when they are old and no release has them; what an environment remembers stays', async () => {
    const [needed, released, loose] = [
      await writeImage('needed', now - 400 * day),
      await writeImage('released', now - 400 * day),
      await writeImage('loose', now - 31 * day),
    ]
    const young = await writeImage('young', now - 29 * day)
    const release = async (digest: string) => {
      const run = await endedRun(digest, now - 29 * day)
      const image = { repository: 'shop/app', digest }
      return store.releases.create({
        project: 'shop',
        sha: run.trigger.sha,
        image,
        runId: run.id,
        artifacts: [],
        step: 'release',
      })
    }
    await release(released)
    const remembered = await release(needed)
    await store.environments.record({
      ...{ name: 'staging', fence: 1, revision: 1, queue: [], rollbacks: [], undos: [], answers: [], newest: {} },
      history: [{ release: remembered, deploymentId: 'd', requestId: 'r', status: 'kept', at: 1 }],
    })
    expect(await sweep()).toContainEqual(expect.objectContaining({ kind: 'images', count: 1 }))
    expect([needed, released, loose, young].map(isThere)).toEqual([true, true, false, true])
    now += 2 * day
    await sweep()
    now += 2 * day
    await sweep()
    expect([needed, released, loose, young].map(isThere)).toEqual([true, false, false, false])
  })

  it('stay while a run goes on that was there when they were made', async () => {
    now -= 60 * day
    await store.runs.start({ project: 'shop', trigger: makeTrigger(), key: 'open' })
    now += 60 * day
    const image = await writeImage('made by it', now - 50 * day)
    await sweep()
    expect(isThere(image)).toBe(true)
  })

  function isThere(digest: string): boolean {
    return existsSync(join(directory, 'images/shop/app/blobs/sha256', digest.slice(7)))
  }
})
