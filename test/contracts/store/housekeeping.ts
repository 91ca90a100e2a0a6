// Long because each rule of what stays and what goes is one test.
import { randomUUID } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { defaults } from '../../../src/domain/defaults.ts'
import type { EnvironmentState } from '../../../src/domain/environment.ts'
import { addUp, type Keep, type Swept } from '../../../src/domain/keep.ts'
import type { Plan } from '../../../src/domain/plan.ts'
import { ReleaseRef, type Release } from '../../../src/domain/release.ts'
import type { LogKey, Run, Store } from '../../../src/store/store.ts'
import { ana, collect, digestOf, makeDelivery, makeEvent, makeTrigger, sha, startRun, stepEvent, streamOf } from './samples.ts'
import type { OpenStoreUnderTest } from './samples.ts'

const day = 86_400_000
const { keep } = defaults
const plan: Plan = { rules: 1, pipeline: 'release', file: '.belay.yml', timeoutMs: 1_000, steps: [], segments: [], finally: [] }

export function housekeepingContract(open: OpenStoreUnderTest): void {
  describe('housekeeping', () => {
    test('the logs of runs that ended over 90 days ago go; those of open and of younger runs stay', async () => {
      const { store, clock } = await open()
      const [old, young, going] = [await startRun(store), await startRun(store), await startRun(store)]
      for (const run of [old, young, going]) await writeLog(store, run, 'hello')
      await finish(store, old, clock.now)
      await finish(store, young, clock.now + day)
      clock.now += 90 * day + 1
      expect(await sweep(store)).toEqual([{ kind: 'logs', count: 1, bytes: 5 }])
      expect(await store.logs.list(old.id, 'unit')).toEqual([])
      expect(await store.logs.read(logOf(old), { offset: 0, length: 10 })).toHaveLength(0)
      for (const run of [young, going]) expect(String(await readLog(store, run))).toBe('hello')
    })

    test('artifacts go 30 days after their run has ended, bytes too, unless a younger run has the same', async () => {
      const { store, clock } = await open()
      const [old, young] = [await startRun(store), await startRun(store)]
      await keepArtifacts(store, old, ['own', 'shared'])
      await keepArtifacts(store, young, ['shared'])
      await finish(store, old, clock.now)
      await finish(store, young, clock.now + day)
      clock.now += 30 * day + 1
      expect(await sweep(store)).toEqual([
        { kind: 'artifacts', count: 2, bytes: 0 },
        { kind: 'blobs', count: 1, bytes: 3 },
      ])
      expect(await store.blobs.has(digestOf('own'))).toBe(false)
      expect(String(await collect(await store.blobs.read(digestOf('shared'))))).toBe('shared')
    })

    test('bytes that no row names yet stay while a run goes on that may have put them, and when they were put again', async () => {
      const { store, clock } = await open()
      await store.blobs.put(digestOf('before'), streamOf('before'))
      await store.blobs.put(digestOf('again'), streamOf('again'))
      clock.now += day
      const run = await startRun(store)
      await store.blobs.put(digestOf('during'), streamOf('during'))
      clock.now += 90 * day
      await store.blobs.put(digestOf('again'), streamOf('again'))
      expect(await sweep(store)).toEqual([{ kind: 'blobs', count: 1, bytes: 6 }])
      expect(await store.blobs.has(digestOf('during'))).toBe(true)
      await finish(store, run, clock.now)
      expect(await sweep(store)).toEqual([{ kind: 'blobs', count: 1, bytes: 6 }])
      expect(await store.blobs.has(digestOf('again'))).toBe(true)
    })

    test('bytes that were asked for stay as if they had been put again', async () => {
      const { store, clock } = await open()
      for (const text of ['wanted', 'left']) await store.blobs.put(digestOf(text), streamOf(text))
      clock.now += 2 * day
      expect(await store.blobs.touch([digestOf('wanted')])).toEqual(new Set([digestOf('wanted')]))
      expect(await sweep(store)).toEqual([{ kind: 'blobs', count: 1, bytes: 4 }])
      expect(await store.blobs.has(digestOf('wanted'))).toBe(true)
    })

    test('a run goes a year after its end, with all that is its own; its number is never given again', async () => {
      const { store, clock } = await open()
      const run = await startRun(store)
      await carryCommands(store)
      await keepArtifacts(store, run, ['a'])
      await store.runs.savePlan({ runId: run.id, plan, planDigest: digestOf('plan') })
      await writeLog(store, run, 'hello')
      await finish(store, run, clock.now)
      clock.now += 365 * day + 1
      expect(kindsOf(await sweep(store))).toEqual(['logs', 'artifacts', 'blobs', 'commands', 'runs', 'plans'])
      expect(await store.runs.find(run.id)).toBeUndefined()
      expect(await store.runs.events(run.id, { after: 0, limit: 10 })).toEqual([])
      expect(await store.runs.findPlan(digestOf('plan'))).toBeUndefined()
      expect(await store.runs.whichEnded([run.id])).toEqual([run.id])
      expect((await startRun(store)).number).toBe(2)
    })

    test('one that somebody goes on with while others of its age are removed stays whole', async () => {
      const { store, clock } = await open()
      // More than are removed in one transaction.
      for (let made = 0; made < 25; made += 1) await startRun(store)
      await carryCommands(store)
      const runs = (await store.runs.list({ limit: 100 })).items
      for (const { id } of runs) await store.runs.finish(id, { status: 'failed', at: clock.now }, [])
      clock.now += 365 * day + 1
      const last =
        runs
          .map(({ id }) => id)
          .toSorted()
          .at(-1) ?? ''
      const swept: Swept[] = []
      for await (const one of store.housekeeping.sweep({ keep, dry: false, only: ['runs'] })) {
        if (swept.length === 0) await store.runs.resume({ runId: last, actor: ana, key: 'k' })
        swept.push(one)
      }
      expect(addUp(swept)).toEqual([{ kind: 'runs', count: 24, bytes: 0 }])
      expect((await store.runs.list({})).items).toMatchObject([{ id: last, status: 'queued', round: 1 }])
      expect(await store.commands.lease({ owner: 'a', leaseMs: 1, limit: 10 })).toMatchObject([{ runId: last, round: 1 }])
    })

    test('the first of siblings goes with the last of them', async () => {
      const { store, clock } = await open()
      const run = await startRun(store)
      await store.runs.startSiblings({ runId: run.id, pipelines: ['two'] })
      await carryCommands(store)
      const sibling = (await store.runs.list({})).items.find(({ id }) => id !== run.id)
      await finish(store, run, clock.now)
      clock.now += 365 * day + 1
      expect(kindsOf(await sweep(store))).not.toContain('runs')
      if (sibling !== undefined) await finish(store, sibling, clock.now)
      clock.now += 365 * day + 1
      expect(await sweep(store)).toContainEqual({ kind: 'runs', count: 2, bytes: 0 })
    })

    test('of what an environment remembers release, run and artifacts stay for ever', async () => {
      const { store, clock } = await open()
      const [needed, other] = [await release(store, 'needed'), await release(store, 'other')]
      await carryCommands(store)
      for (const { run } of [needed, other]) await finish(store, run, clock.now)
      await store.environments.record(makeState(needed.release))
      clock.now += 1_000 * day
      await sweepTwice(store, clock)
      expect(await store.releases.find(needed.release.id)).toEqual(needed.release)
      expect(await store.runs.find(needed.run.id)).toBeDefined()
      expect(await store.blobs.has(digestOf('needed'))).toBe(true)
      expect(await store.releases.find(other.release.id)).toBeUndefined()
      expect(await store.runs.find(other.run.id)).toBeUndefined()
      expect(await store.blobs.has(digestOf('other'))).toBe(false)
    })

    test.each(['queue', 'rollbacks', 'active', 'stuck'] as const)(
      'so does what an environment has only as its %s',
      async (where) => {
        const { store, clock } = await open()
        const { release: wanted, run } = await release(store, 'wanted')
        await carryCommands(store)
        await finish(store, run, clock.now)
        await store.environments.record(stateWith(where, wanted))
        clock.now += 1_000 * day
        await sweepTwice(store, clock)
        expect(await store.releases.find(wanted.id)).toEqual(wanted)
        expect(await store.blobs.has(digestOf('wanted'))).toBe(true)
      },
    )

    test('a release is marked first, and an hour later its files go; one that was deployed meanwhile is as it was', async () => {
      const { store, clock } = await open()
      const [late, gone] = [await release(store, 'late'), await release(store, 'gone')]
      for (const { run } of [late, gone]) await finish(store, run, clock.now)
      clock.now += 30 * day + 1
      expect(await sweep(store)).toContainEqual({ kind: 'releases', count: 2, bytes: 0 })
      expect(await store.releases.find(late.release.id)).toEqual({ ...late.release, removedAt: clock.now })
      expect(await store.blobs.has(digestOf('gone'))).toBe(true)
      await store.environments.record(makeState(late.release))
      clock.now += day / 24
      expect(kindsOf(await sweep(store))).toEqual(['artifacts', 'blobs'])
      expect(await store.releases.find(late.release.id)).toEqual(late.release)
      expect(await store.blobs.has(digestOf('late'))).toBe(true)
      expect(await store.blobs.has(digestOf('gone'))).toBe(false)
    })

    test('deliveries go after 90 days, but for those of a run that goes on; their runs stay', async () => {
      const { store, clock } = await open()
      for (const id of ['d1', 'd2']) await store.deliveries.accept(makeDelivery(id))
      await store.deliveries.accept(makeDelivery('d3', { parsed: { ignored: 'a ping' } }))
      await carryCommands(store)
      const [open2, over] = (await store.runs.list({})).items
      if (over !== undefined) await finish(store, over, clock.now)
      clock.now += 90 * day + 1
      expect(await sweep(store)).toContainEqual({ kind: 'deliveries', count: 2, bytes: 0 })
      expect((await store.deliveries.list({})).items.map(({ deliveryId }) => deliveryId)).toEqual(['d2'])
      expect((await store.runs.list({})).items.map(({ id }) => id)).toEqual([open2?.id, over?.id])
    })

    test('a run of polling whose delivery is gone is not taken by another', async () => {
      const { store, clock } = await open()
      const trigger = makeTrigger({ source: 'poll' })
      await store.polls.seen({ project: 'shop', branch: 'main', sha: sha('0') })
      await store.polls.seen({ project: 'shop', branch: 'main', sha: sha('1'), known: sha('0'), trigger })
      await store.deliveries.accept(makeDelivery('d1'))
      const [polled] = (await store.runs.list({})).items
      await carryCommands(store)
      if (polled !== undefined) await finish(store, polled, clock.now)
      clock.now += 90 * day + 1
      expect(await sweep(store)).toContainEqual({ kind: 'deliveries', count: 1, bytes: 0 })
      await store.deliveries.accept(makeDelivery('d2'))
      expect((await store.runs.list({})).items).toHaveLength(2)
    })

    test('commands and news that were delivered go after a week; what is still owed stays', async () => {
      const { store, clock } = await open()
      const owed = await startRun(store, { trigger: makeTrigger({ sha: sha('2') }) })
      clock.now += 1
      const run = await startRun(store)
      const [command] = await store.commands.lease({ owner: 'a', leaseMs: 1, limit: 2 }).then((all) => all.slice(1))
      await store.commands.done(command?.id ?? 0)
      await finish(store, run, clock.now)
      const [item] = await store.outbox.lease({ owner: 'a', leaseMs: 1, limit: 1 })
      if (item !== undefined) await store.outbox.done(item)
      clock.now += 7 * day + 1
      // An older run's news must not come after it.
      expect(await sweep(store)).toEqual([{ kind: 'commands', count: 1, bytes: 0 }])
      expect(await store.commands.lease({ owner: 'a', leaseMs: 1, limit: 10 })).toMatchObject([{ runId: owed.id }])
      await store.runs.cancel({ runId: owed.id, actor: ana })
      await carryCommands(store)
      await finish(store, owed, clock.now)
      expect(await sweep(store)).toEqual([{ kind: 'outbox', count: 1, bytes: 0 }])
    })

    test('a run that goes on for weeks keeps its commands, and so is looked after and retried once', async () => {
      const { store, clock } = await open()
      const run = await startRun(store)
      await carryCommands(store)
      await store.runs.finish(run.id, { status: 'failed', at: clock.now }, [])
      const retry = { runId: run.id, actor: ana, key: 'k' }
      await store.runs.resume(retry)
      await carryCommands(store)
      clock.now += 30 * day
      expect(await sweep(store)).toEqual([])
      expect((await store.runs.listStarted()).map(({ id }) => id)).toEqual([run.id])
      expect(await store.runs.resume(retry)).toMatchObject({ round: 1 })
      await store.runs.finish(run.id, { status: 'succeeded', at: clock.now, round: 1 }, [])
      expect(await sweep(store)).toEqual([{ kind: 'commands', count: 2, bytes: 0 }])
    })

    test('tokens of segments go a day after they have expired', async () => {
      const { store, clock } = await open()
      const { id: runId } = await startRun(store)
      const grant = { runner: 'r', runId, epoch: 1, planDigest: digestOf('p'), steps: ['a'] }
      await store.tokens.createSegmentToken({ ...grant, expiresAt: clock.now + 1 })
      const token = await store.tokens.createSegmentToken({ ...grant, expiresAt: clock.now + 3 * day })
      clock.now += day + 2
      expect(await sweep(store)).toEqual([{ kind: 'segment_tokens', count: 1, bytes: 0 }])
      expect(await store.tokens.findSegmentGrant(token)).toMatchObject({ runId })
    })

    test('a dry run tells what would go, changes nothing, and is right', async () => {
      const { store, clock } = await open()
      for (const id of ['d1', 'd2', 'd3']) await store.deliveries.accept(makeDelivery(id))
      await carryCommands(store)
      for (const run of (await store.runs.list({})).items) {
        await writeLog(store, run, 'hello')
        await keepArtifacts(store, run, [String(run.number), 'shared'])
        await finish(store, run, clock.now + run.number * day)
      }
      clock.now += 366 * day + 1
      const dry = await sweep(store, { dry: true })
      expect(await sweep(store, { dry: true })).toEqual(dry)
      expect(dry).toContainEqual({ kind: 'runs', count: 1, bytes: 0 })
      expect(dry).toContainEqual({ kind: 'blobs', count: 4, bytes: 9 })
      expect(await sweep(store)).toEqual(dry)
      expect(await sweep(store, { dry: true })).toEqual([])
    })

    test('one that is stopped after any batch leaves the rest to the next', async () => {
      const { store, clock } = await open()
      for (const id of ['d1', 'd2', 'd3']) await store.deliveries.accept(makeDelivery(id))
      await carryCommands(store)
      for (const run of (await store.runs.list({})).items) {
        await writeLog(store, run, 'hello')
        await keepArtifacts(store, run, [String(run.number), 'shared'])
        await finish(store, run, clock.now)
      }
      clock.now += 366 * day
      const expected = await sweep(store, { dry: true })
      const swept: Swept[] = []
      for (let isMore = true; isMore;) {
        const before = swept.length
        for await (const one of store.housekeeping.sweep({ keep, dry: false })) {
          swept.push(one)
          break
        }
        isMore = swept.length > before
      }
      expect(addUp(swept)).toEqual(expected)
      expect((await store.runs.list({})).items).toEqual([])
    })

    test('one asks between two batches whether it goes on, also where all of them stay', async () => {
      const { store } = await open()
      for (const content of ['one', 'two', 'three']) await store.blobs.put(digestOf(content), streamOf(content))
      let asked = 0
      const goesOn = () => Promise.resolve((asked += 1) < 3)
      const swept: Swept[] = []
      for await (const one of store.housekeeping.sweep({ keep, dry: false, only: ['blobs'], goesOn })) swept.push(one)
      expect({ swept, asked }).toEqual({ swept: [], asked: 3 })
    })

    test("is one owner's turn until it is given back or its time is up", async () => {
      const { store, clock } = await open()
      const { housekeeping } = store
      expect(await housekeeping.lease({ owner: 'a', leaseMs: 100 })).toBe(true)
      expect(await housekeeping.lease({ owner: 'b', leaseMs: 100 })).toBe(false)
      expect(await housekeeping.lease({ owner: 'a', leaseMs: 200 })).toBe(true)
      clock.now += 150
      await housekeeping.release('b')
      expect(await housekeeping.lease({ owner: 'b', leaseMs: 100 })).toBe(false)
      clock.now += 50
      expect(await housekeeping.lease({ owner: 'b', leaseMs: 100 })).toBe(true)
      await housekeeping.release('b')
      expect(await housekeeping.lease({ owner: 'a', leaseMs: 100 })).toBe(true)
    })

    test('the audit is kept for ever', async () => {
      const { store, clock } = await open()
      await store.audit.write({ actor: 'ana', action: 'a', subject: 's' })
      clock.now += 10_000 * day
      expect(await sweep(store)).toEqual([])
      expect((await store.audit.list({})).items).toHaveLength(1)
    })
  })
}

async function sweep(store: Store, options: { dry?: boolean; keep?: Keep } = {}): Promise<Swept[]> {
  const swept: Swept[] = []
  for await (const one of store.housekeeping.sweep({ keep, dry: false, ...options })) swept.push(one)
  return addUp(swept)
}

/** What is marked by the first goes with the second. */
async function sweepTwice(store: Store, clock: { now: number }): Promise<void> {
  await sweep(store)
  clock.now += day
  await sweep(store)
}

function kindsOf(all: readonly Swept[]): string[] {
  return all.map(({ kind }) => kind)
}

function logOf(run: Run): LogKey {
  return { runId: run.id, step: 'unit', attempt: 1, epoch: 1, part: 'step' }
}

async function writeLog(store: Store, run: Run, text: string): Promise<void> {
  await store.logs.append(logOf(run), { offset: 0, bytes: Buffer.from(text), final: true })
}

function readLog(store: Store, run: Run): Promise<Buffer> {
  return store.logs.read(logOf(run), { offset: 0, length: 100 })
}

async function keepArtifacts(store: Store, run: Run, contents: readonly string[]): Promise<void> {
  for (const content of contents) await store.blobs.put(digestOf(content), streamOf(content))
  const artifacts = contents.map((content) => ({
    path: `dist/${content}`,
    digest: digestOf(content),
    sizeBytes: content.length,
    executable: false,
  }))
  await store.runs.record(run.id, [stepEvent(0, { status: 'succeeded', endedAt: 2, result: { artifacts } })])
}

async function release(store: Store, content: string): Promise<{ run: Run; release: Release }> {
  const run = await startRun(store)
  await keepArtifacts(store, run, [content])
  const artifact = { path: `dist/${content}`, digest: digestOf(content), sizeBytes: content.length, executable: false }
  const image = { repository: 'shop/app', digest: digestOf(`image of ${content}`) }
  const { project, trigger, id: runId } = run
  return {
    run,
    release: await store.releases.create({ project, sha: trigger.sha, image, runId, artifacts: [artifact], step: 'release' }),
  }
}

async function finish(store: Store, run: Run, at: number): Promise<void> {
  await store.runs.finish(run.id, { status: 'succeeded', at }, [makeEvent(99, { type: 'run', status: 'succeeded' })])
}

/** All that is owed to Temporal has reached it, but is not a week old. */
async function carryCommands(store: Store): Promise<void> {
  for (const { id } of await store.commands.lease({ owner: 'a', leaseMs: 1, limit: 100 })) await store.commands.done(id)
}

function emptyState(): EnvironmentState {
  return { name: 'staging', fence: 1, revision: 1, history: [], queue: [], rollbacks: [], undos: [], answers: [], newest: {} }
}

function makeState(wanted: Release): EnvironmentState {
  const served = { release: ReleaseRef.parse(wanted), deploymentId: randomUUID(), requestId: 'r', status: 'kept' as const, at: 1 }
  return { ...emptyState(), history: [served] }
}

function stateWith(where: 'queue' | 'rollbacks' | 'active' | 'stuck', wanted: Release): EnvironmentState {
  const ref = ReleaseRef.parse(wanted)
  const deploy = { environments: ['staging'], strategy: 'blue_green' as const, bakeMs: 0 }
  const queued = {
    id: 'r',
    runId: randomUUID(),
    step: 's',
    release: ref,
    deploy,
    ref: 'refs/heads/main',
    sequence: 1,
    forced: false,
  }
  const deployment = {
    id: randomUUID(),
    environment: 'staging',
    kind: 'deploy' as const,
    release: ref,
    requestId: 'r',
    status: 'running' as const,
    startedAt: 1,
  }
  const state = emptyState()
  switch (where) {
    case 'queue':
      return { ...state, queue: [queued] as unknown as EnvironmentState['queue'] }
    case 'rollbacks':
      return { ...state, rollbacks: [{ id: 'r', environment: 'staging', actor: ana, release: ref }] }
    case 'active':
      return { ...state, active: deployment }
    case 'stuck':
      return { ...state, stuck: [{ requestId: 'r', release: ref, untouched: false, tries: 1 }] }
  }
}
