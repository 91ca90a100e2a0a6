import { describe, expect, test } from 'vitest'
import { ana, makeDelivery, makeEvent, startRun } from './samples.ts'
import type { OpenStoreUnderTest } from './samples.ts'

const lease = { owner: 'a', leaseMs: 1_000, limit: 10 }

export function commandContract(open: OpenStoreUnderTest): void {
  describe('commands', () => {
    test('are leased oldest first, as many as asked for, and not to a second owner', async () => {
      const { store } = await open()
      const runs = [await startRun(store), await startRun(store), await startRun(store)]
      const first = await store.commands.lease({ ...lease, limit: 2 })
      const second = await store.commands.lease({ ...lease, owner: 'b' })
      expect(first.map(({ runId }) => runId)).toEqual([runs[0]?.id, runs[1]?.id])
      expect(second.map(({ runId }) => runId)).toEqual([runs[2]?.id])
    })

    test('are leased again when the lease has run out, counted as tried', async () => {
      const { store, clock } = await open()
      await startRun(store)
      expect(await store.commands.lease(lease)).toMatchObject([{ attempts: 0 }])
      clock.now += 999
      expect(await store.commands.lease(lease)).toEqual([])
      clock.now += 1
      expect(await store.commands.lease(lease)).toMatchObject([{ attempts: 1 }])
    })

    test('of one kind only are leased without the others', async () => {
      const { store } = await open()
      const [run, begun] = [await startRun(store), await startRun(store)]
      const started = (await store.commands.lease({ ...lease, limit: 2 })).find(({ runId }) => runId === begun.id)
      await store.commands.done(started?.id ?? 0)
      await store.runs.cancel({ runId: begun.id, actor: ana })
      const other = await startRun(store)
      expect(await store.commands.lease({ ...lease, only: 'cancel' })).toMatchObject([{ kind: 'cancel', runId: begun.id }])
      expect(await store.commands.lease({ ...lease, only: 'cancel' })).toEqual([])
      expect(await store.commands.lease(lease)).toMatchObject([{ kind: 'start', runId: other.id }])
      expect((await store.runs.find(run.id))?.status).toBe('queued')
    })

    test('of cancels only are leased with a start that was tried, behind which one waits', async () => {
      const { store, clock } = await open()
      const [unwanted, wanted] = [await startRun(store), await startRun(store)]
      for (const { id } of await store.commands.lease(lease))
        await store.commands.retry(id, { retryAt: clock.now, error: 'away' })
      expect(await store.commands.lease({ ...lease, only: 'cancel' })).toEqual([])
      await store.runs.cancel({ runId: unwanted.id, actor: ana })
      const [start, ...others] = await store.commands.lease({ ...lease, only: 'cancel' })
      expect([start, others]).toMatchObject([{ kind: 'start', runId: unwanted.id }, []])
      await store.commands.done(start?.id ?? 0)
      expect(await store.commands.lease({ ...lease, only: 'cancel' })).toMatchObject([{ kind: 'cancel', runId: unwanted.id }])
      expect(await store.commands.lease(lease)).toMatchObject([{ kind: 'start', runId: wanted.id }])
    })

    test('that are held say so on a run that somebody goes on with, too, each time once', async () => {
      const { store, clock } = await open()
      const run = await startRun(store)
      await store.commands.hold('disk low: 1')
      await store.commands.done((await store.commands.lease(lease))[0]?.id ?? 0)
      await store.runs.finish(run.id, { status: 'failed', at: clock.now }, [])
      const resumed = await store.runs.resume({ runId: run.id, actor: ana, from: 'build', key: 'k' })
      for (const reason of ['disk low: 2', 'disk low: 3']) await store.commands.hold(reason)
      expect(await store.runs.find(run.id)).toMatchObject({ status: 'queued', reason: 'disk low: 2' })
      const events = await store.runs.events(run.id, { after: 0, limit: 9 })
      expect(events.map(({ body }) => (body.type === 'run' ? body.reason : body.type))).toEqual([
        ...['disk low: 1', undefined, 'retried by ana from "build"', 'disk low: 2'],
      ])
      expect(await store.runs.findResume(resumed)).toEqual({ seq: 3, from: 'build' })
    })

    test('that are held say so on their run, once; those that were tried say nothing', async () => {
      const { store } = await open()
      const tried = await startRun(store)
      await store.commands.lease(lease)
      const held = await startRun(store)
      for (const reason of ['disk low: 1', 'disk low: 2']) await store.commands.hold(reason)
      expect(await store.runs.find(held.id)).toMatchObject({ status: 'queued', reason: 'disk low: 1' })
      expect(await store.runs.events(held.id, { after: 0, limit: 9 })).toMatchObject([
        { seq: 1, body: { type: 'run', status: 'queued', reason: 'disk low: 1' } },
      ])
      expect((await store.runs.find(tried.id))?.reason).toBeUndefined()
      await store.runs.record(held.id, [makeEvent(0, { type: 'run', status: 'running' })])
      expect((await store.runs.find(held.id))?.reason).toBeUndefined()
    })

    test('that are held are cancelled without a start', async () => {
      const { store } = await open()
      const run = await startRun(store)
      await store.commands.hold('disk low')
      await store.runs.cancel({ runId: run.id, actor: ana, reason: 'enough' })
      expect(await store.runs.find(run.id)).toMatchObject({ status: 'cancelled', reason: 'enough' })
      expect(await store.commands.lease(lease)).toEqual([])
    })

    test('never come back once done', async () => {
      const { store, clock } = await open()
      await startRun(store)
      const [command] = await store.commands.lease(lease)
      await store.commands.done(command?.id ?? 0)
      await store.commands.retry(command?.id ?? 0, { retryAt: clock.now, error: 'late' })
      clock.now += 10_000
      expect(await store.commands.lease(lease)).toEqual([])
    })

    test('a retried one comes back at its time, not before', async () => {
      const { store, clock } = await open()
      await startRun(store)
      const [command] = await store.commands.lease(lease)
      await store.commands.retry(command?.id ?? 0, { retryAt: clock.now + 500, error: 'away' })
      expect(await store.commands.lease(lease)).toEqual([])
      clock.now += 500
      expect(await store.commands.lease(lease)).toMatchObject([{ id: command?.id, attempts: 1 }])
    })

    test('one behind an undone one of the same run waits for it', async () => {
      const { store, clock } = await open()
      const run = await startRun(store)
      const [start] = await store.commands.lease(lease)
      await store.runs.cancel({ runId: run.id, actor: ana, reason: 'wrong branch' })
      expect(await store.commands.lease(lease)).toEqual([])
      await store.commands.retry(start?.id ?? 0, { retryAt: clock.now + 500, error: 'away' })
      expect(await store.commands.lease(lease)).toEqual([])
      clock.now += 500
      expect(await store.commands.lease(lease)).toMatchObject([{ id: start?.id, kind: 'start' }])
      await store.commands.done(start?.id ?? 0)
      expect(await store.commands.lease(lease)).toMatchObject([
        { kind: 'cancel', runId: run.id, actor: ana, reason: 'wrong branch' },
      ])
    })

    test('waiting ends at once when one is due', async () => {
      const { store } = await open()
      await startRun(store)
      await expect(store.commands.wait(60_000)).resolves.toBeUndefined()
    })

    test('waiting ends with the write that makes one due', async () => {
      const { store } = await open()
      const waiting = store.commands.wait(60_000)
      await store.deliveries.accept(makeDelivery('d1'))
      await expect(waiting).resolves.toBeUndefined()
    })

    test('waiting ends when its time is up', async () => {
      const { store } = await open()
      await store.commands.wait(1)
      expect(await store.commands.lease(lease)).toEqual([])
    })

    test('waiting ends when the store is closed', async () => {
      const { store, reopen } = await open()
      const waiting = store.commands.wait(60_000)
      await reopen()
      await expect(waiting).resolves.toBeUndefined()
    })
  })
}
