import { describe, expect, test } from 'vitest'
import type { LeasedItem } from '../../../src/store/store.ts'
import { outboxLeaseContract } from './outbox-leases.ts'
import { begin, beginIn, drain, lease, newsOf, planAndRun } from './outbox-samples.ts'
import { ana, makeEvent, makeTrigger, sha, startRun } from './samples.ts'
import type { OpenStoreUnderTest } from './samples.ts'

/** What is news of a commit, and under which name. */
export function outboxContract(open: OpenStoreUnderTest): void {
  outboxLeaseContract(open)

  describe('outbox', () => {
    test('a run that runs, and has a name, is news for its commit', async () => {
      const { store, clock, run } = await begin(open)
      const [item] = await store.outbox.lease(lease)
      expect(item).toEqual({
        id: item?.id,
        version: 1,
        attempts: 0,
        createdAt: clock.now,
        payload: newsOf(run, 'running'),
        lease: { owner: 'a', until: clock.now + lease.leaseMs },
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
      const { store, run } = await begin(open)
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
      const { store, clock, run } = await begin(open)
      await store.runs.finish(run.id, { status: 'succeeded', at: 1 }, [])
      await store.runs.record(run.id, [makeEvent(9, { type: 'run', status: 'running' })])
      await store.runs.finish(run.id, { status: 'failed', at: 2 }, [])
      const items = await drain(store, clock)
      expect(items.map(({ payload }) => payload.status)).toEqual(['succeeded'])
    })

    test('of two runs for the same commit and pipeline the newer one counts, whichever speaks last', async () => {
      const opened = await open()
      const { store, run: older } = await beginIn(opened)
      const { run: newer } = await beginIn(opened)
      await store.runs.finish(older.id, { status: 'failed', at: 1 }, [])
      expect((await store.outbox.lease(lease)).map(({ payload }) => payload)).toEqual([newsOf(newer, 'running')])
    })

    test('what a run left red before it had a name is told of the newer runs of its commit, to their end', async () => {
      const { store, clock } = await open()
      const older = await startRun(store)
      await store.runs.finish(older.id, { status: 'errored', reason: 'no such key', at: 1 }, [])
      await drain(store, clock)
      const newer = await startRun(store)
      await planAndRun(store, newer)
      const running = newsOf(newer, 'running')
      expect(sorted(await drain(store, clock))).toStrictEqual([withoutPipeline(running), running])
      await store.runs.finish(newer.id, { status: 'succeeded', at: 2 }, [])
      const succeeded = newsOf(newer, 'succeeded')
      expect(sorted(await drain(store, clock))).toStrictEqual([withoutPipeline(succeeded), succeeded])
      expect((await store.outbox.list({})).items).toEqual([])
    })

    test('a run that ends without a name is no news where a newer run of its commit has one', async () => {
      const { store, clock } = await open()
      const begun = makeTrigger()
      const waits = makeTrigger({ sha: sha('2') })
      const alone = makeTrigger({ sha: sha('3') })
      const [overtaken, ...told] = [
        await startRun(store, { trigger: begun }),
        await startRun(store, { trigger: waits }),
        await startRun(store, { trigger: alone }),
      ]
      const newer = await store.runs.start({ project: 'shop', trigger: begun, key: 'b', pipeline: 'release' })
      // Queued only: nothing was told of it, and nothing may ever be.
      await store.runs.start({ project: 'shop', trigger: waits, key: 'w', pipeline: 'release' })
      await store.runs.finish(newer.id, { status: 'succeeded', at: 2 }, [])
      await drain(store, clock)
      for (const run of [overtaken, ...told]) await store.runs.finish(run.id, { status: 'errored', at: 3 }, [])
      expect(sorted(await drain(store, clock))).toStrictEqual(told.map((run) => withoutPipeline(newsOf(run, 'errored'))))
    })

    test('the news without a pipeline stays that of its own commit and project, and of the newest run', async () => {
      const { store, clock } = await open()
      const named = await startRun(store)
      await planAndRun(store, named)
      const nameless = await startRun(store)
      await store.runs.finish(nameless.id, { status: 'errored', at: 1 }, [])
      await drain(store, clock)
      await store.runs.finish(named.id, { status: 'succeeded', at: 2 }, [])
      expect(sorted(await drain(store, clock))).toStrictEqual([newsOf(named, 'succeeded')])
      const others = [
        await startRun(store, { project: 'blog' }),
        await startRun(store, { trigger: makeTrigger({ sha: sha('2') }) }),
      ]
      for (const run of others) await planAndRun(store, run)
      expect(sorted(await drain(store, clock))).toStrictEqual(others.map((run) => newsOf(run, 'running')))
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
  })
}

/** Their payloads, what has no pipeline first. */
function sorted(items: LeasedItem[]) {
  return items
    .map(({ payload }) => payload)
    .sort(
      (a, b) =>
        (a.pipeline ?? '').localeCompare(b.pipeline ?? '') || a.runNumber - b.runNumber || a.project.localeCompare(b.project),
    )
}

function withoutPipeline(news: ReturnType<typeof newsOf>) {
  const { pipeline: _, ...rest } = news
  return rest
}
