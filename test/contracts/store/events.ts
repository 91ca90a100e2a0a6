import { describe, expect, test } from 'vitest'
import type { RunEnding, UndoItem } from '../../../src/domain/run-event.ts'
import { makeEvent, startRun, stepEvent } from './samples.ts'
import type { OpenStoreUnderTest } from './samples.ts'

const runner = { source: 'runner/r1', epoch: 1 }
const failed: RunEnding = { status: 'failed', reason: 'unit failed', at: 9_000 }

export function eventContract(open: OpenStoreUnderTest): void {
  async function begin() {
    const { store } = await open()
    const { id } = await startRun(store)
    const eventsOf = (after = 0) => store.runs.events(id, { after, limit: 1_000 })
    return { runs: store.runs, id, eventsOf }
  }

  describe('run events', () => {
    test('get sequence numbers without gap, however many write at once', async () => {
      const { runs, id, eventsOf } = await begin()
      const writers = Array.from({ length: 10 }, (_, writer) => `environment/e${String(writer)}`)
      const batches = writers.flatMap((source) =>
        [0, 1, 2, 3].map((n) => [
          makeEvent(2 * n, { type: 'waiting', for: 'a' }, { source }),
          makeEvent(2 * n + 1, { type: 'waiting', for: 'b' }, { source }),
        ]),
      )
      await Promise.all(batches.map((events) => runs.record(id, events)))
      expect((await eventsOf()).map(({ seq }) => seq)).toEqual(Array.from({ length: 80 }, (_, index) => index + 1))
    })

    test('are read back as they were written, from any point on', async () => {
      const { runs, id, eventsOf } = await begin()
      const events = [makeEvent(0, { type: 'waiting', for: 'a' }), makeEvent(1, { type: 'waiting', for: 'b' }, runner)]
      await runs.record(id, events)
      expect(await eventsOf()).toEqual(events.map((event, index) => ({ ...event, seq: index + 1 })))
      expect(await eventsOf(1)).toMatchObject([{ seq: 2 }])
      expect(await runs.events(id, { after: 0, limit: 1 })).toMatchObject([{ seq: 1 }])
    })

    test('are asked for by the newest alone; a run without any has none', async () => {
      const { runs, id } = await begin()
      expect(await runs.newestEvent(id)).toBeUndefined()
      await runs.record(id, [makeEvent(0, { type: 'waiting', for: 'a' }), makeEvent(0, { type: 'waiting', for: 'b' }, runner)])
      expect(await runs.newestEvent(id)).toEqual({ ...makeEvent(0, { type: 'waiting', for: 'b' }, runner), seq: 2 })
    })

    test('written twice are written once, also within one call', async () => {
      const { runs, id, eventsOf } = await begin()
      const event = makeEvent(0, { type: 'waiting', for: 'a' })
      await runs.record(id, [event, event])
      await runs.record(id, [event, makeEvent(1, { type: 'waiting', for: 'b' })])
      expect((await eventsOf()).map(({ n }) => n)).toEqual([0, 1])
    })

    test('move a step row forward, and are dropped if they would not', async () => {
      const { runs, id, eventsOf } = await begin()
      await runs.record(id, [stepEvent(0, { status: 'running', startedAt: 5 }, runner)])
      await runs.record(id, [stepEvent(1, { status: 'succeeded', endedAt: 9, exitCode: 0 }, runner)])
      await runs.record(id, [stepEvent(2, { status: 'queued' }, runner), stepEvent(3, { status: 'failed' }, runner)])
      expect(await runs.steps(id)).toEqual([
        { runId: id, step: 'unit', attempt: 1, epoch: 1, status: 'succeeded', startedAt: 5, endedAt: 9, exitCode: 0 },
      ])
      expect((await eventsOf()).map(({ n }) => n)).toEqual([0, 1])
    })

    test("control's word about an end replaces a runner's, without being news; not the other way round", async () => {
      const { runs, id, eventsOf } = await begin()
      await runs.record(id, [stepEvent(0, { status: 'failed', endedAt: 8 }, runner)])
      await runs.record(id, [stepEvent(0, { status: 'timed_out', endedAt: 9, reason: 'over 30m' })])
      await runs.record(id, [stepEvent(1, { status: 'failed', endedAt: 8 }, runner)])
      expect(await runs.steps(id)).toMatchObject([{ status: 'timed_out', endedAt: 9, reason: 'over 30m' }])
      expect(await eventsOf()).toHaveLength(1)
    })

    test('of a higher epoch begin the attempt anew; another attempt has a row of its own', async () => {
      const { runs, id } = await begin()
      await runs.record(id, [stepEvent(0, { status: 'succeeded', startedAt: 5, endedAt: 9 })])
      await runs.record(id, [stepEvent(1, { epoch: 2, status: 'running' }), stepEvent(2, { attempt: 2, status: 'waiting' })])
      await runs.record(id, [stepEvent(3, { epoch: 1, status: 'failed' }, runner)])
      expect(await runs.steps(id)).toEqual([
        { runId: id, step: 'unit', attempt: 1, epoch: 2, status: 'running' },
        { runId: id, step: 'unit', attempt: 2, epoch: 1, status: 'waiting' },
      ])
    })

    test('keep the undo list of a group by environment', async () => {
      const { runs, id } = await begin()
      const item = (environment: string, status: UndoItem['status']): UndoItem => ({
        step: 'ship',
        environment,
        does: 'x',
        status,
      })
      const items = [item('eu', 'owed'), item('us', 'owed'), item('us', 'done')]
      await runs.record(id, items.map((one, n) => makeEvent(n, { type: 'undo', item: one }))) // prettier-ignore
      expect((await runs.find(id))?.undo).toEqual([item('eu', 'owed'), item('us', 'done')])
    })

    test("keep the run's status, its start, its epoch and its undo list, by step", async () => {
      const { runs, id } = await begin()
      const item = (step: string, status: UndoItem['status']): UndoItem => ({ step, does: `undo ${step}`, status })
      await runs.record(id, [
        makeEvent(0, { type: 'run', status: 'running' }),
        makeEvent(1, { type: 'workspace', runner: 'r1', epoch: 2, status: 'opened' }),
        makeEvent(2, { type: 'workspace', runner: 'r1', epoch: 1, status: 'closed' }),
        makeEvent(3, { type: 'undo', item: item('migrate', 'owed') }),
        makeEvent(4, { type: 'undo', item: item('deploy', 'owed') }),
        makeEvent(5, { type: 'undo', item: item('migrate', 'done') }),
      ])
      expect(await runs.find(id)).toMatchObject({
        status: 'running',
        startedAt: 1_000,
        epoch: 2,
        undo: [item('migrate', 'done'), item('deploy', 'owed')],
      })
    })

    test('the last write ends the run once: repeated, or with another end, it changes nothing', async () => {
      const { runs, id, eventsOf } = await begin()
      const end = makeEvent(0, { type: 'run', status: 'failed', reason: 'unit failed' })
      await runs.finish(id, failed, [end])
      await runs.finish(id, failed, [end])
      await runs.finish(id, { status: 'succeeded', at: 9_999 }, [])
      expect(await runs.find(id)).toMatchObject({ status: 'failed', reason: 'unit failed', endedAt: 9_000 })
      expect(await eventsOf()).toHaveLength(1)
    })

    test('an end that its writer sent no event for is told all the same', async () => {
      const { runs, id, eventsOf } = await begin()
      await runs.finish(id, failed, [makeEvent(0, { type: 'waiting', for: 'a' })])
      expect((await eventsOf()).at(-1)).toMatchObject({ seq: 2, body: { type: 'run', status: 'failed', reason: 'unit failed' } })
    })

    test('after the end only events are added: run and steps stay as they are', async () => {
      const { runs, id, eventsOf } = await begin()
      await runs.record(id, [stepEvent(0, { status: 'running' })])
      await runs.finish(id, failed, [])
      const before = { run: await runs.find(id), steps: await runs.steps(id) }
      await runs.record(id, [
        stepEvent(1, { status: 'succeeded' }),
        makeEvent(2, { type: 'run', status: 'running' }),
        makeEvent(3, { type: 'undo', item: { step: 'deploy', does: 'undo', status: 'owed' } }),
        makeEvent(4, { type: 'workspace', runner: 'r1', epoch: 7, status: 'opened' }),
      ])
      await runs.raiseEpoch(id, 9)
      expect({ run: await runs.find(id), steps: await runs.steps(id) }).toEqual(before)
      expect((await eventsOf()).map(({ seq }) => seq)).toEqual([1, 2, 3, 4, 5, 6])
    })

    test('a run that waits for a person has not ended, and ends later', async () => {
      const { runs, id } = await begin()
      await runs.finish(id, { status: 'rollback_blocked', reason: 'target away', at: 8_000 }, [])
      const blocked = await runs.find(id)
      expect(blocked).toMatchObject({ status: 'rollback_blocked', reason: 'target away' })
      expect(blocked?.endedAt).toBeUndefined()
      await runs.finish(id, { status: 'rollback_failed', at: 9_000 }, [])
      expect(await runs.find(id)).toMatchObject({ status: 'rollback_failed', endedAt: 9_000 })
    })

    test('waiting ends at once when there are some, with the write of one, with the time, and with the signal', async () => {
      const { runs, id } = await begin()
      const woken = runs.waitForEvents(id, { after: 0, timeoutMs: 60_000 })
      await runs.record(id, [makeEvent(0, { type: 'waiting', for: 'a' })])
      await woken
      await runs.waitForEvents(id, { after: 0, timeoutMs: 60_000 })
      await runs.waitForEvents(id, { after: 1, timeoutMs: 1 })
      const abort = new AbortController()
      const aborted = runs.waitForEvents(id, { after: 1, timeoutMs: 60_000, signal: abort.signal })
      abort.abort()
      await aborted
      expect(await runs.events(id, { after: 1, limit: 10 })).toEqual([])
    })
  })
}
