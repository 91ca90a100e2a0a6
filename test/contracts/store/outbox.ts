import { describe, expect, test } from 'vitest'
import type { Plan } from '../../../src/domain/plan.ts'
import type { RunStatus } from '../../../src/domain/run.ts'
import type { OutboxItem, Run, Store } from '../../../src/store/store.ts'
import { ana, makeEvent, makeTrigger, readAllPages, sha, startRun } from './samples.ts'
import type { OpenStoreUnderTest, StoreUnderTest } from './samples.ts'

const lease = { owner: 'a', leaseMs: 1_000, limit: 10 }

export function outboxContract(open: OpenStoreUnderTest): void {
  /** A run whose plan is saved and which runs; its news is in the outbox. */
  async function begin(opened?: Pick<StoreUnderTest, 'store' | 'clock'>) {
    const { store, clock } = opened ?? (await open())
    const run = await startRun(store)
    await planAndRun(store, run)
    return { store, clock, run }
  }

  describe('outbox', () => {
    test('a run that runs, and has a name, is news for its commit', async () => {
      const { store, clock, run } = await begin()
      const [item] = await store.outbox.lease(lease)
      expect(item).toEqual({
        id: item?.id,
        version: 1,
        attempts: 0,
        createdAt: clock.now,
        payload: newsOf(run, 'running'),
      })
      expect(await store.outbox.lease({ ...lease, owner: 'b' })).toEqual([])
    })

    test('one that has no name yet is told when it ends, without a pipeline', async () => {
      const { store } = await open()
      const run = await startRun(store)
      await store.runs.record(run.id, [makeEvent(0, { type: 'run', status: 'running' })])
      expect(await store.outbox.lease(lease)).toEqual([])
      await store.runs.finish(run.id, { status: 'errored', reason: 'no such key', at: 1 }, [])
      const [item] = await store.outbox.lease(lease)
      expect(item?.payload).toStrictEqual({ ...withoutPipeline(newsOf(run, 'errored')), reason: 'no such key' })
    })

    test('one that was asked for by its pipeline has that name from the start', async () => {
      const { store } = await open()
      const run = await store.runs.start({ project: 'shop', trigger: makeTrigger(), key: 'k', pipeline: 'nightly' })
      await store.runs.record(run.id, [makeEvent(0, { type: 'run', status: 'running' })])
      expect(await store.outbox.lease(lease)).toMatchObject([{ payload: { pipeline: 'nightly', status: 'running' } }])
    })

    test('a cancel that ends a run before it started is news, too', async () => {
      const { store } = await open()
      const run = await startRun(store)
      await store.runs.cancel({ runId: run.id, actor: ana, reason: 'wrong branch' })
      expect((await store.outbox.lease(lease)).map(({ payload }) => payload)).toEqual([
        { ...withoutPipeline(newsOf(run, 'cancelled')), reason: 'wrong branch' },
      ])
    })

    test('a later status takes the place of an earlier one; what told nothing new does not', async () => {
      const { store, run } = await begin()
      await store.runs.record(run.id, [
        makeEvent(7, { type: 'run', status: 'running' }),
        makeEvent(8, { type: 'waiting', for: 'a' }),
      ])
      await store.runs.finish(run.id, { status: 'rollback_blocked', reason: 'target away', at: 1 }, [])
      await store.runs.finish(run.id, { status: 'rollback_failed', at: 2 }, [])
      expect(await store.outbox.lease(lease)).toMatchObject([
        { version: 3, payload: newsOf(run, 'rollback_failed'), attempts: 0 },
      ])
    })

    test('nothing of a run is news after its end', async () => {
      const { store, clock, run } = await begin()
      await store.runs.finish(run.id, { status: 'succeeded', at: 1 }, [])
      await store.runs.record(run.id, [makeEvent(9, { type: 'run', status: 'running' })])
      await store.runs.finish(run.id, { status: 'failed', at: 2 }, [])
      const items = await drain(store, clock)
      expect(items.map(({ payload }) => payload.status)).toEqual(['succeeded'])
    })

    test('of two runs for the same commit and pipeline the newer one counts, whichever speaks last', async () => {
      const opened = await open()
      const { store, run: older } = await begin(opened)
      const { run: newer } = await begin(opened)
      await store.runs.finish(older.id, { status: 'failed', at: 1 }, [])
      expect((await store.outbox.lease(lease)).map(({ payload }) => payload)).toEqual([newsOf(newer, 'running')])
    })

    test('another commit, pipeline or project is other news', async () => {
      const { store, clock } = await open()
      const first = await startRun(store)
      const runs = [
        first,
        await startRun(store, { trigger: makeTrigger({ sha: sha('2') }) }),
        await startRun(store, { project: 'blog' }),
      ]
      for (const run of runs) await planAndRun(store, run)
      const docs = await store.runs.start({ project: 'shop', trigger: makeTrigger(), key: 'd', pipeline: 'docs' })
      await planAndRun(store, docs, 'docs')
      expect(await drain(store, clock)).toHaveLength(4)
    })

    test('delivered news never comes back; newer news does, as a new version', async () => {
      const { store, clock, run } = await begin()
      const item = await leaseOne(store)
      await store.outbox.done(item)
      await store.outbox.retry(item, { retryAt: clock.now, error: 'late' })
      clock.now += 10_000
      expect(await store.outbox.lease(lease)).toEqual([])
      await store.runs.finish(run.id, { status: 'succeeded', at: 1 }, [])
      expect(await store.outbox.lease(lease)).toMatchObject([{ id: item.id, version: 2, payload: { status: 'succeeded' } }])
    })

    test('what was replaced on its way is not done by the answer to the old, and waits for its lease', async () => {
      const { store, run } = await begin()
      const item = await leaseOne(store)
      await store.runs.finish(run.id, { status: 'succeeded', at: 1 }, [])
      expect(await store.outbox.lease({ ...lease, owner: 'b' })).toEqual([])
      await store.outbox.done(item)
      const newer = await leaseOne(store)
      expect(newer).toMatchObject({ version: 2, attempts: 0, payload: { status: 'succeeded' } })
      // The answer to the old one, once more and late: it ends no lease but its own.
      await store.outbox.done(item)
      expect(await store.outbox.lease({ ...lease, owner: 'b' })).toEqual([])
    })

    test('what was put off comes back at its time, counted as tried; what was replaced meanwhile at once', async () => {
      const { store, clock, run } = await begin()
      await store.outbox.retry(await leaseOne(store), { retryAt: clock.now + 500, error: 'away' })
      expect(await store.outbox.lease(lease)).toEqual([])
      clock.now += 500
      const again = await leaseOne(store)
      expect(again.attempts).toBe(1)
      await store.runs.finish(run.id, { status: 'failed', at: 1 }, [])
      await store.outbox.retry(again, { retryAt: clock.now + 60_000, error: 'away' })
      expect(await store.outbox.lease(lease)).toMatchObject([{ attempts: 0, payload: { status: 'failed' } }])
    })

    test('a lease that has run out goes to the next who asks', async () => {
      const { store, clock } = await begin()
      const item = await leaseOne(store)
      clock.now += 999
      expect(await store.outbox.lease(lease)).toEqual([])
      clock.now += 1
      expect(await store.outbox.lease(lease)).toEqual([{ ...item, attempts: 1 }])
    })

    test('what waits and what was given up is listed, newest first; what was delivered is not', async () => {
      const { store, clock } = await open()
      const runs: Run[] = []
      for (const name of ['1', '2', '3', '4']) {
        clock.now += 1
        const run = await startRun(store, { trigger: makeTrigger({ sha: sha(name) }) })
        runs.push(run)
        await planAndRun(store, run)
      }
      const [delivered, refused, away] = await store.outbox.lease({ ...lease, limit: 3 })
      if (delivered === undefined || refused === undefined || away === undefined) throw new Error('too few')
      await store.outbox.done(delivered)
      await store.outbox.done(refused, 'the token is not valid')
      await store.outbox.retry(away, { retryAt: clock.now + 500, error: 'away' })
      const { items, pages } = await readAllPages((cursor) => store.outbox.list({ limit: 2, cursor }))
      expect(items.map(({ payload, givenUp, error }) => [payload.runNumber, givenUp, error])).toEqual([
        [4, false, undefined],
        [3, false, 'away'],
        [2, true, 'the token is not valid'],
      ])
      expect(pages).toBe(2)
      clock.now += 100
      expect(await store.outbox.lease(lease)).toHaveLength(1)
    })

    test('waiting ends with the write that makes one due, at once when one is, and with its time', async () => {
      const { store, clock } = await open()
      const waiting = store.outbox.wait(60_000)
      await begin({ store, clock })
      await waiting
      await store.outbox.wait(60_000)
      await store.outbox.done(await leaseOne(store))
      await store.outbox.wait(1)
      expect(await store.outbox.lease(lease)).toEqual([])
    })
  })
}

async function leaseOne(store: Store): Promise<OutboxItem> {
  const [item] = await store.outbox.lease(lease)
  if (item === undefined) throw new Error('nothing is due')
  return item
}

/** Leases and delivers until nothing is left. */
async function drain(store: Store, clock: { now: number }): Promise<OutboxItem[]> {
  for (const items: OutboxItem[] = []; ;) {
    const leased = await store.outbox.lease(lease)
    for (const item of leased) await store.outbox.done(item)
    if (leased.length === 0) return items
    items.push(...leased)
    clock.now += 1
  }
}

async function planAndRun(store: Store, run: Run, pipeline = 'release'): Promise<void> {
  const plan: Plan = { rules: 1, pipeline, file: '.belay.yml', timeoutMs: 1_000, steps: [], segments: [], finally: [] }
  const planDigest = `plan of ${pipeline}`
  await store.runs.savePlan({ runId: run.id, plan, planDigest })
  await store.runs.record(run.id, [
    makeEvent(0, { type: 'run', status: 'running' }),
    makeEvent(1, { type: 'planned', pipeline, planDigest, steps: [] }),
  ])
}

function newsOf(run: Run, status: RunStatus) {
  const { project, id: runId, number: runNumber } = run
  return { type: 'commit_status' as const, project, runId, runNumber, sha: run.trigger.sha, pipeline: 'release', status }
}

function withoutPipeline(news: ReturnType<typeof newsOf>) {
  const { pipeline: _, ...rest } = news
  return rest
}
