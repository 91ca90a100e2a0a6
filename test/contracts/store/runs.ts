import { randomUUID } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import type { Plan } from '../../../src/domain/plan.ts'
import { ana, makeDelivery, makeTrigger, readAllPages, startRun } from './samples.ts'
import type { OpenStoreUnderTest } from './samples.ts'

const lease = { owner: 'a', leaseMs: 1_000, limit: 10 }
const plan: Plan = { rules: 1, pipeline: 'release', file: '.belay.yml', timeoutMs: 1_000, steps: [], segments: [], finally: [] }

export function runContract(open: OpenStoreUnderTest): void {
  describe('runs', () => {
    test('one asked for by a person shares numbers and order with those of deliveries', async () => {
      const { store, clock } = await open()
      await store.deliveries.accept(makeDelivery('d1'))
      const trigger = makeTrigger({ event: 'manual', source: 'api', actor: ana })
      const run = await store.runs.start({ project: 'shop', trigger, key: 'k', pipeline: 'release' })
      expect(run).toEqual({
        id: run.id,
        number: 2,
        project: 'shop',
        sequence: 2,
        trigger,
        pipeline: 'release',
        status: 'queued',
        createdAt: clock.now,
        epoch: 0,
        undo: [],
        round: 0,
      })
      expect(await store.runs.find(run.id)).toEqual(run)
      expect(await store.runs.findByNumber('shop', 2)).toEqual(run)
      expect(await store.runs.findByNumber('blog', 2)).toBeUndefined()
    })

    test('the same key starts nothing new; another key, or project, does', async () => {
      const { store } = await open()
      const run = await startRun(store, { key: 'k' })
      expect(await startRun(store, { key: 'k' })).toEqual(run)
      expect((await startRun(store, { key: 'l' })).number).toBe(2)
      expect((await startRun(store, { key: 'k', project: 'blog' })).id).not.toBe(run.id)
    })

    test('siblings have the same trigger and order, numbers of their own, and exist once per pipeline', async () => {
      const { store } = await open()
      const run = await startRun(store)
      await store.runs.startSiblings({ runId: run.id, pipelines: ['docs', 'nightly'] })
      await store.runs.startSiblings({ runId: run.id, pipelines: ['nightly', 'docs', 'docs'] })
      const runs = (await store.runs.list({})).items
      expect(runs.map(({ number, pipeline, sequence }) => [number, pipeline, sequence])).toEqual([
        [3, 'nightly', 1],
        [2, 'docs', 1],
        [1, undefined, 1],
      ])
      expect(runs[0]?.trigger).toEqual(run.trigger)
      expect(await store.commands.lease(lease)).toHaveLength(3)
    })

    test('a cancel before the start was tried ends the run, tells it, and leaves nothing to carry out', async () => {
      const { store, clock } = await open()
      const run = await startRun(store)
      const cancelled = await store.runs.cancel({ runId: run.id, actor: ana })
      expect(cancelled).toMatchObject({ status: 'cancelled', endedAt: clock.now })
      expect(cancelled.reason).toContain('ana')
      expect(await store.commands.lease(lease)).toEqual([])
      const events = await store.runs.events(run.id, { after: 0, limit: 10 })
      expect(events).toMatchObject([{ seq: 1, body: { type: 'run', status: 'cancelled' } }])
    })

    test('a cancel of a start that may have reached Temporal goes behind it, even when its lease has run out', async () => {
      const { store, clock } = await open()
      const run = await startRun(store)
      await store.commands.lease(lease)
      clock.now += 5_000
      expect(await store.runs.cancel({ runId: run.id, actor: ana })).toMatchObject({ status: 'queued' })
      const [start] = await store.commands.lease(lease)
      expect(start?.kind).toBe('start')
      await store.commands.done(start?.id ?? 0)
      expect(await store.commands.lease(lease)).toMatchObject([{ kind: 'cancel', actor: ana }])
    })

    test('a second cancel adds no second command; one of an ended run does nothing', async () => {
      const { store, clock } = await open()
      const run = await startRun(store)
      await store.commands.done((await store.commands.lease(lease))[0]?.id ?? 0)
      await store.runs.cancel({ runId: run.id, actor: ana })
      await store.runs.cancel({ runId: run.id, actor: ana })
      const cancels = await store.commands.lease(lease)
      expect(cancels).toHaveLength(1)
      await store.commands.done(cancels[0]?.id ?? 0)
      await store.runs.finish(run.id, { status: 'succeeded', at: clock.now }, [])
      expect(await store.runs.cancel({ runId: run.id, actor: ana })).toMatchObject({ status: 'succeeded' })
      expect(await store.commands.lease(lease)).toEqual([])
    })

    test('an ended one goes on in its own record: queued, in the next round, with a start that names where from', async () => {
      const { store, clock } = await open()
      const run = await startRun(store)
      await store.commands.done((await store.commands.lease(lease))[0]?.id ?? 0)
      const going = { runId: run.id, actor: ana, from: 'build', reason: 'again', key: 'k' }
      await expect(store.runs.resume(going)).rejects.toMatchObject({ code: 'conflict' })
      await store.runs.finish(run.id, { status: 'failed', at: clock.now }, [])
      const resumed = await store.runs.resume(going)
      expect(resumed).toMatchObject({ status: 'queued', round: 1, reason: 'retried by ana from "build": again' })
      expect(resumed).not.toHaveProperty('endedAt')
      expect(await store.runs.findResume(run)).toBeUndefined()
      expect(await store.runs.findResume(resumed)).toEqual({ seq: 2, from: 'build' })
      expect(await store.runs.resume(going)).toEqual(resumed)
      await expect(store.runs.resume({ ...going, from: 'unit' })).rejects.toMatchObject({ code: 'conflict' })
      expect((await store.audit.list({})).items).toMatchObject([
        { actor: ana.id, action: 'run.retry', subject: run.id, data: { from: 'build', reason: 'again', request: 'k' } },
      ])
      const [command, ...others] = await store.commands.lease(lease)
      expect(command).toMatchObject({ kind: 'start', round: 1, from: 'build', actor: ana })
      expect(others).toEqual([])
      const events = await store.runs.events(run.id, { after: 0, limit: 10 })
      expect(events.map(({ body }) => (body.type === 'run' ? body.status : body.type))).toEqual(['failed', 'queued'])
    })

    test('what the round before still has to say ends and moves nothing in the next one', async () => {
      const { store, clock } = await open()
      const run = await startRun(store)
      await store.commands.done((await store.commands.lease(lease))[0]?.id ?? 0)
      await store.runs.finish(run.id, { status: 'failed', at: clock.now }, [])
      await store.runs.resume({ runId: run.id, actor: ana, key: 'k' })
      const late = { source: 'run', epoch: 0, n: 40, at: clock.now, body: { type: 'run' as const, status: 'running' as const } }
      await store.runs.finish(run.id, { status: 'errored', at: clock.now }, [late])
      expect(await store.runs.find(run.id)).toMatchObject({ status: 'queued', round: 1 })
      await store.runs.record(run.id, [{ ...late, epoch: 1, n: 0 }])
      expect(await store.runs.find(run.id)).toMatchObject({ status: 'running' })
      await store.runs.finish(run.id, { status: 'succeeded', at: clock.now, round: 1 }, [])
      expect(await store.runs.find(run.id)).toMatchObject({ status: 'succeeded', endedAt: clock.now })
    })

    test('one that goes on and was not tried yet is ended by a cancel, as at first', async () => {
      const { store, clock } = await open()
      const run = await startRun(store)
      await store.runs.cancel({ runId: run.id, actor: ana })
      await store.runs.resume({ runId: run.id, actor: ana, key: 'k' })
      expect(await store.runs.cancel({ runId: run.id, actor: ana })).toMatchObject({ status: 'cancelled', endedAt: clock.now })
      expect(await store.commands.lease(lease)).toEqual([])
    })

    test('what concerns a run that never was is not found', async () => {
      const { store } = await open()
      const runId = randomUUID()
      expect(await store.runs.find(runId)).toBeUndefined()
      await expect(store.runs.cancel({ runId, actor: ana })).rejects.toMatchObject({ code: 'not_found' })
      await expect(store.runs.record(runId, [])).rejects.toMatchObject({ code: 'not_found' })
      await expect(store.runs.raiseEpoch(runId, 1)).rejects.toMatchObject({ code: 'not_found' })
    })

    test('are listed newest first, page by page, by project, branch and status', async () => {
      const { store } = await open()
      const feature = makeTrigger({ ref: 'refs/heads/feature', branch: 'feature' })
      const runs = [await startRun(store), await startRun(store, { trigger: feature }), await startRun(store)]
      await store.runs.startSiblings({ runId: runs[2]?.id ?? '', pipelines: ['a', 'b'] })
      await startRun(store, { project: 'blog' })
      await store.runs.cancel({ runId: runs[0]?.id ?? '', actor: ana })
      const all = await readAllPages((cursor) => store.runs.list({ project: 'shop', limit: 2, cursor }))
      expect(all.items.map(({ number }) => number)).toEqual([5, 4, 3, 2, 1])
      expect((await store.runs.list({ branch: 'feature' })).items.map(({ number }) => number)).toEqual([2])
      expect((await store.runs.list({ status: 'cancelled' })).items.map(({ id }) => id)).toEqual([runs[0]?.id])
    })

    test('open ones are listed; ended and unknown ones are told apart from them', async () => {
      const { store, clock } = await open()
      const [open1, ended, blocked] = [await startRun(store), await startRun(store), await startRun(store)]
      await store.runs.finish(ended.id, { status: 'failed', at: clock.now }, [])
      await store.runs.finish(blocked.id, { status: 'rollback_blocked', at: clock.now }, [])
      const unknown = randomUUID()
      expect((await store.runs.listOpen()).map(({ id }) => id)).toEqual([open1.id, blocked.id])
      expect(await store.runs.whichEnded([open1.id, ended.id, blocked.id, unknown])).toEqual([ended.id, unknown])
    })

    test('of the open ones those are told apart whose start was acknowledged', async () => {
      const { store, clock } = await open()
      const [started, ended, leased] = [await startRun(store), await startRun(store), await startRun(store)]
      const commands = await store.commands.lease({ owner: 'a', leaseMs: 30_000, limit: 10 })
      for (const { id, runId } of commands) if (runId !== leased.id) await store.commands.done(id)
      await startRun(store)
      await store.runs.cancel({ runId: started.id, actor: ana })
      await store.runs.finish(ended.id, { status: 'failed', at: clock.now }, [])
      expect((await store.runs.listStarted()).map(({ id }) => id)).toEqual([started.id])
    })

    test('one that goes on counts as started only once the start of its own round was acknowledged', async () => {
      const { store, clock } = await open()
      const run = await startRun(store)
      await store.commands.done((await store.commands.lease(lease))[0]?.id ?? 0)
      await store.runs.finish(run.id, { status: 'failed', at: clock.now }, [])
      await store.runs.resume({ runId: run.id, actor: ana, key: 'k' })
      expect(await store.runs.listStarted()).toEqual([])
      const [start] = await store.commands.lease(lease)
      expect(await store.runs.listStarted()).toEqual([])
      await store.commands.done(start?.id ?? 0)
      expect((await store.runs.listStarted()).map(({ id }) => id)).toEqual([run.id])
    })

    test('a plan is kept by digest and named on the run', async () => {
      const { store } = await open()
      const run = await startRun(store)
      await store.runs.savePlan({ runId: run.id, plan, planDigest: 'p1' })
      await store.runs.savePlan({ runId: run.id, plan, planDigest: 'p1' })
      expect(await store.runs.find(run.id)).toMatchObject({ pipelineName: 'release', planDigest: 'p1' })
      expect(await store.runs.findPlan('p1')).toEqual(plan)
      expect(await store.runs.findPlan('p2')).toBeUndefined()
    })

    test('who holds its workspace is noted by epoch: the first note stays, and raises the epoch', async () => {
      const { store } = await open()
      const { id: runId } = await startRun(store)
      expect(await store.holders.find(runId, 1)).toEqual({ type: 'never' })
      await store.holders.note({ runId, epoch: 1, runner: 'a' })
      await store.holders.note({ runId, epoch: 3, runner: 'b' })
      await store.holders.note({ runId, epoch: 3, runner: 'c' })
      expect(await store.holders.find(runId, 1)).toEqual({ type: 'noted', runner: 'a' })
      expect(await store.holders.find(runId, 2)).toEqual({ type: 'none' })
      expect(await store.holders.find(runId, 3)).toEqual({ type: 'noted', runner: 'b' })
      expect((await store.runs.find(runId))?.epoch).toBe(3)
      await expect(store.holders.note({ runId: randomUUID(), epoch: 1, runner: 'a' })).rejects.toMatchObject({
        code: 'not_found',
      })
    })

    test('an epoch is raised, said again, and never lowered', async () => {
      const { store } = await open()
      const { id } = await startRun(store)
      await store.runs.raiseEpoch(id, 2)
      await store.runs.raiseEpoch(id, 2)
      await expect(store.runs.raiseEpoch(id, 1)).rejects.toMatchObject({ code: 'stale', retryable: false })
      expect(await store.runs.find(id)).toMatchObject({ epoch: 2 })
    })
  })
}
