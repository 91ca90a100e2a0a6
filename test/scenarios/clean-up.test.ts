/** A clean-up is killed after any of its batches, again and again: what is needed is there, and nothing is listed that is not whole. */
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { defaults } from '../../src/domain/defaults.ts'
import { ReleaseRef, type Release } from '../../src/domain/release.ts'
import { openStore } from '../../src/store/open-store.ts'
import type { Run, Store } from '../../src/store/store.ts'
import { collect, digestOf, makeEvent, makeTrigger, stepEvent, streamOf } from '../contracts/store/samples.ts'

const dayMs = 86_400_000
const agoMs = 500 * dayMs
const kept = 10
const all = 120
let directory: string
let places: { database: string; blobs: string; logs: string }
let store: Store

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'belay-clean-up-'))
  places = { database: join(directory, 'belay.db'), blobs: join(directory, 'blobs'), logs: join(directory, 'logs') }
  // As it was then; everything is too old by now.
  store = await openStore({ ...places, now: () => Date.now() - agoMs })
})

afterEach(async () => {
  await store.close()
  rmSync(directory, { recursive: true, force: true })
})

async function makeRelease(n: number): Promise<{ run: Run; release: Release }> {
  const content = `content of ${String(n)}`
  const run = await store.runs.start({ project: 'shop', trigger: makeTrigger(), key: String(n) })
  const log = { runId: run.id, step: 'unit', attempt: 1, epoch: 1, part: 'step' as const }
  await store.logs.append(log, { offset: 0, bytes: Buffer.from(`log of ${String(n)}`), final: true })
  await store.blobs.put(digestOf(content), streamOf(content))
  const artifacts = [{ path: 'dist/app', digest: digestOf(content), sizeBytes: content.length, executable: false }]
  await store.runs.record(run.id, [stepEvent(0, { status: 'succeeded', endedAt: 2, result: { artifacts } })])
  const image = { repository: 'shop/app', digest: digestOf(`image ${content}`) }
  const release = await store.releases.create({
    project: 'shop',
    sha: run.trigger.sha,
    image,
    runId: run.id,
    artifacts,
    step: 'release',
  })
  for (const { id } of await store.commands.lease({ owner: 'a', leaseMs: 1, limit: 9 })) await store.commands.done(id)
  await store.runs.finish(run.id, { status: 'succeeded', at: Date.now() - agoMs }, [
    makeEvent(9, { type: 'run', status: 'succeeded' }),
  ])
  return { run, release }
}

/** A process of its own, killed once it has told of so many batches; true: it had ended before. */
function sweepAndKill(batches: number): Promise<boolean> {
  const entry = new URL('../../dist/src/store/open-store.js', import.meta.url).href
  const program = `
    const [places, keep, laterMs] = JSON.parse(process.argv[1])
    const { openStore } = await import(${JSON.stringify(entry)})
    const store = await openStore({ ...places, now: () => Date.now() + laterMs })
    for await (const one of store.housekeeping.sweep({ keep, dry: false })) process.stdout.write(JSON.stringify(one) + '\\n')
    process.stdout.write('end\\n')
    await store.close()`
  // Each is a day later: what one has marked the next lets go.
  const argument = JSON.stringify([places, defaults.keep, batches * dayMs])
  const child = spawn(process.execPath, ['--input-type=module', '-e', program, argument], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let told = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    told += text
    if (told.split('\n').length > batches) child.kill('SIGKILL')
  })
  return new Promise((resolve) => child.once('close', () => resolve(told.includes('end\n'))))
}

/** Everything that is listed is whole. */
async function checkListed(): Promise<void> {
  const { items: runs } = await store.runs.list({ limit: 200 })
  for (const run of runs) {
    for (const log of await store.logs.list(run.id, 'unit'))
      expect(String(await store.logs.read(log, { offset: 0, length: 100 }))).toMatch(/^log of \d+$/)
    expect((await store.runs.events(run.id, { after: 0, limit: 9 })).length).toBeGreaterThan(0)
    expect(await store.runs.steps(run.id)).toHaveLength(1)
  }
  const { items: releases } = await store.releases.list({ limit: 200 })
  for (const { runId } of releases) expect(await store.runs.find(runId)).toBeDefined()
  const whole = releases.filter(({ removedAt }) => removedAt === undefined)
  for (const { digest } of whole.flatMap(({ artifacts }) => artifacts)) expect(await store.blobs.has(digest)).toBe(true)
}

it('nothing that an environment remembers is lost, and in the end the rest is gone', async () => {
  const made: { run: Run; release: Release }[] = []
  for (let n = 0; n < all; n += 1) made.push(await makeRelease(n))
  const needed = made.slice(-kept)
  await store.environments.record({
    ...{ name: 'production', fence: 1, revision: 1, queue: [], rollbacks: [], undos: [], answers: [], newest: {} },
    history: needed.map(({ release }) => ({
      ...{ release: ReleaseRef.parse(release), deploymentId: 'd', requestId: 'r', status: 'kept' as const, at: 1 },
    })),
  })
  const ends: boolean[] = []
  for (let batches = 1; ends.filter(Boolean).length < 3; batches += 1) {
    ends.push(await sweepAndKill(batches))
    await checkListed()
    for (const { release } of needed) expect(await store.releases.find(release.id)).toEqual(release)
  }
  expect(ends.filter((ended) => !ended).length).toBeGreaterThan(3)

  const left = (await store.runs.list({ limit: 200 })).items.map(({ id }) => id)
  expect(left.toSorted()).toEqual(needed.map(({ run }) => run.id).toSorted())
  for (const { release } of needed)
    for (const { digest } of release.artifacts) expect(digestOf(await collect(await store.blobs.read(digest)))).toBe(digest)
  const files = (await readdir(places.blobs, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile())
  expect(files).toHaveLength(kept)
})
