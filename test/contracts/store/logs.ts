import { randomUUID } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import type { LogKey, LogStore } from '../../../src/store/store.ts'
import { startRun } from './samples.ts'
import type { Limits, OpenStoreUnderTest } from './samples.ts'

export function logContract(open: OpenStoreUnderTest): void {
  async function begin(limits?: Limits) {
    const opened = await open(limits)
    const run = await startRun(opened.store)
    const key: LogKey = { runId: run.id, step: 'unit', attempt: 1, epoch: 1, part: 'step' }
    return { ...opened, logs: opened.store.logs, key }
  }

  describe('logs', () => {
    test('take bytes at their end and give back any part of them', async () => {
      const { logs, key } = await begin()
      expect(await put(logs, key, 0, 'hello ')).toEqual({ end: 6, gap: false, truncated: false })
      expect(await put(logs, key, 6, 'world')).toEqual({ end: 11, gap: false, truncated: false })
      expect(await text(logs, key)).toBe('hello world')
      expect(String(await logs.read(key, { offset: 4, length: 3 }))).toBe('o w')
      expect(await logs.read(key, { offset: 11, length: 5 })).toHaveLength(0)
    })

    test('of an overlap take the new part, of a repeat nothing', async () => {
      const { logs, key } = await begin()
      await put(logs, key, 0, 'hello')
      expect(await put(logs, key, 0, 'hello')).toMatchObject({ end: 5, gap: false })
      expect(await put(logs, key, 3, 'lo you')).toMatchObject({ end: 9, gap: false })
      expect(await text(logs, key)).toBe('hello you')
    })

    test('of a gap take nothing and name their end', async () => {
      const { logs, key } = await begin()
      await put(logs, key, 0, 'hello')
      expect(await put(logs, key, 7, 'late')).toEqual({ end: 5, gap: true, truncated: false })
      expect(await text(logs, key)).toBe('hello')
    })

    test('take appends that come at once one after the other', async () => {
      const { logs, key } = await begin()
      const appends = await Promise.all([put(logs, key, 0, 'aaa'), put(logs, key, 3, 'bbb'), put(logs, key, 6, 'ccc')])
      expect(appends.map(({ end }) => end)).toEqual([3, 6, 9])
      expect(await text(logs, key)).toBe('aaabbbccc')
    })

    test('bytes that a kill left behind uncommitted are never read, and are written over', async () => {
      const { store, key, tearLog, reopen } = await begin()
      await put(store.logs, key, 0, 'hello ')
      await tearLog(key, Buffer.from('never committed'))
      const { logs } = await reopen()
      expect(await text(logs, key)).toBe('hello ')
      await put(logs, key, 6, 'you')
      expect(await text(logs, key)).toBe('hello you')
    })

    test('are closed by the final append, which may be empty and may come twice', async () => {
      const { logs, key } = await begin()
      await put(logs, key, 0, 'bye')
      await put(logs, key, 3, '', true)
      await put(logs, key, 0, 'bye', true)
      expect(await logs.list(key.runId, 'unit')).toEqual([{ ...key, sizeBytes: 3, closed: true, truncated: false }])
      await expect(put(logs, key, 3, 'more')).rejects.toMatchObject({ code: 'conflict' })
    })

    test('an empty one can be closed too', async () => {
      const { logs, key } = await begin()
      await put(logs, key, 0, '', true)
      expect(await logs.list(key.runId, 'unit')).toMatchObject([{ sizeBytes: 0, closed: true }])
      expect(await text(logs, key)).toBe('')
    })

    test('refuse an older epoch of the same attempt once a newer one has written', async () => {
      const { logs, key } = await begin()
      await put(logs, key, 0, 'old')
      await put(logs, { ...key, epoch: 2 }, 0, 'new')
      await expect(put(logs, key, 3, 'late')).rejects.toMatchObject({ code: 'stale' })
      await put(logs, { ...key, part: 'undo' }, 0, 'an undo has an epoch of its own')
      expect(await text(logs, key)).toMatch(/^old\n\[belay\] cut off/)
    })

    test('hold so much, drop the rest, and say so from then on', async () => {
      const { logs, key } = await begin({ logBytes: 8 })
      expect(await put(logs, key, 0, 'hello world')).toEqual({ end: 8, gap: false, truncated: true })
      expect(await put(logs, key, 11, 'more')).toEqual({ end: 8, gap: false, truncated: true })
      expect(await put(logs, key, 15, '', true)).toEqual({ end: 8, gap: false, truncated: true })
      expect(await text(logs, key)).toBe('hello wo')
      expect(await logs.list(key.runId, 'unit')).toMatchObject([{ sizeBytes: 8, truncated: true, closed: true }])
    })

    test('of an attempt that is begun again under a newer epoch end with a line that says so', async () => {
      const { logs, key, tearLog } = await begin()
      await put(logs, key, 0, 'begun')
      await put(logs, { ...key, part: 'undo' }, 0, 'of its own')
      await put(logs, { ...key, attempt: 2 }, 0, 'another')
      await tearLog(key, Buffer.alloc(1_000, 'never committed '))
      await put(logs, { ...key, epoch: 3 }, 0, 'again')
      const [first, ...others] = (await logs.list(key.runId, key.step)).filter(({ epoch }) => epoch === 1)
      expect(first).toMatchObject({ ...key, closed: true })
      expect(others.map(({ attempt, part, closed }) => [attempt, part, closed])).toEqual([
        [1, 'undo', false],
        [2, 'step', false],
      ])
      const whole = await text(logs, key)
      expect(whole).toMatch(/^begun\n\[belay\] cut off: the attempt was begun again[^\n]*\n$/)
      expect(first?.sizeBytes).toBe(whole.length)
    })

    test('that had ended before stay as they are when the attempt is begun again', async () => {
      const { logs, key } = await begin()
      await put(logs, key, 0, 'whole', true)
      await put(logs, { ...key, epoch: 2 }, 0, 'again')
      expect(await text(logs, key)).toBe('whole')
    })

    test('are listed by attempt and epoch, oldest first', async () => {
      const { logs, key } = await begin()
      for (const [attempt, epoch] of [
        [2, 3],
        [1, 1],
        [1, 2],
        [10, 3],
      ] as const) {
        await put(logs, { ...key, attempt, epoch }, 0, 'x')
      }
      const listed = await logs.list(key.runId, 'unit')
      expect(listed.map(({ attempt, epoch }) => [attempt, epoch])).toEqual([
        [1, 1],
        [1, 2],
        [2, 3],
        [10, 3],
      ])
    })

    test('one that never was is empty; one of a run that never was cannot begin', async () => {
      const { logs, key } = await begin()
      expect(await text(logs, key)).toBe('')
      expect(await logs.list(key.runId, 'unit')).toEqual([])
      await expect(put(logs, { ...key, runId: randomUUID() }, 0, 'x')).rejects.toMatchObject({ code: 'not_found' })
      await expect(put(logs, { ...key, runId: '../../etc/passwd' }, 0, 'x')).rejects.toMatchObject({ code: 'invalid_input' })
    })

    test('any step id is a name: none leads out of the run, none is another', async () => {
      const { logs, key } = await begin()
      const steps = ['unit', '../unit', '/unit', 'unit/../unit', 'Unit', 'ünit', `u${'n'.repeat(300)}`]
      for (const step of steps) await put(logs, { ...key, step }, 0, step)
      for (const step of steps) expect(await text(logs, { ...key, step })).toBe(step)
    })

    test('waiting ends at once when there is more or it is closed, with an append, with the time, and with the signal', async () => {
      const { logs, key } = await begin()
      const woken = logs.waitForGrowth(key, { size: 0, timeoutMs: 60_000 })
      await put(logs, key, 0, 'x')
      await woken
      await logs.waitForGrowth(key, { size: 0, timeoutMs: 60_000 })
      await logs.waitForGrowth(key, { size: 1, timeoutMs: 1 })
      const abort = new AbortController()
      const aborted = logs.waitForGrowth(key, { size: 1, timeoutMs: 60_000, signal: abort.signal })
      abort.abort()
      await aborted
      await put(logs, key, 1, '', true)
      await logs.waitForGrowth(key, { size: 1, timeoutMs: 60_000 })
      expect(await text(logs, key)).toBe('x')
    })
  })
}

function put(logs: LogStore, key: LogKey, offset: number, bytes: string, final = false) {
  return logs.append(key, { offset, bytes: Buffer.from(bytes), final })
}

async function text(logs: LogStore, key: LogKey): Promise<string> {
  return String(await logs.read(key, { offset: 0, length: 1_000 }))
}
