import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { openFrontDoor, startPlannedRun, stepEvent, type FrontDoor } from '../../../test/helpers/front-door.ts'
import type { LogStreamItem } from '../../api/client.ts'
import { readEventStream } from '../../api/event-stream.ts'
import type { LogKey } from '../../store/store.ts'

let door: FrontDoor
let runId: string

beforeEach(async () => {
  door = await openFrontDoor()
  runId = (await startPlannedRun(door.store)).id
})

afterEach(() => door.close())

describe('a stream of a log', () => {
  test('tells what was printed and what is printed while it is read, and ends when the step has ended and its log is closed', async () => {
    await append('one\n')
    const client = await door.client('viewer')
    const seen: LogStreamItem[] = []
    for await (const item of client.followLog({ id: runId }, 'build')) {
      seen.push(item)
      if (item.type === 'chunk' && item.offset === 0) {
        await append('two', { offset: 4, final: true })
        await tell({ status: 'succeeded' })
      }
    }
    expect(textOf(seen)).toBe('one\ntwo')
    expect(seen.at(-1)).toEqual({ type: 'end', truncated: false })
  })

  test('is resumed at the byte after Last-Event-ID, in the attempt where it was', async () => {
    await append('first attempt\n', { final: true })
    await append('second', { attempt: 2, final: true })
    await tell({ status: 'failed' })
    await tell({ status: 'succeeded', attempt: 2 }, 1)
    expect(await readFrom('')).toEqual(['1.1.14', '2.1.6', '2.1.6 end'])
    expect(await readFrom('1.1.6')).toEqual(['1.1.14', '2.1.6', '2.1.6 end'])
    expect(await readFrom('1.1.14')).toEqual(['2.1.6', '2.1.6 end'])
    expect(await readFrom('2.1.6')).toEqual([' end'])
  })

  test('goes on with the next attempt of a step that may be tried again, and does not end before', async () => {
    await append('no', { final: true })
    await tell({ status: 'failed' })
    const client = await door.client('viewer')
    const seen: LogStreamItem[] = []
    for await (const item of client.followLog({ id: runId }, 'build')) {
      seen.push(item)
      if (item.type === 'chunk' && item.attempt === 1) {
        await append('yes', { attempt: 2, final: true })
        await tell({ status: 'succeeded', attempt: 2 }, 1)
      }
    }
    expect(textOf(seen)).toBe('noyes')
  })

  test('leaves a log that was never closed behind once the workspace has a higher epoch', async () => {
    await append('cut o', {})
    await append('again', { epoch: 2, final: true })
    await tell({ status: 'succeeded', epoch: 2 })
    const [left] = await door.store.logs.list(runId, 'build')
    // With the line that says that it was cut.
    expect(left?.sizeBytes).toBeGreaterThan(5)
    expect(await readFrom('')).toEqual([`1.1.${String(left?.sizeBytes)}`, '1.2.5', '1.2.5 end'])
  })

  test('never cuts a character in two', async () => {
    const bytes = Buffer.from('aä')
    await appendBytes(bytes.subarray(0, 2), { offset: 0 })
    const client = await door.client('viewer')
    const seen: LogStreamItem[] = []
    for await (const item of client.followLog({ id: runId }, 'build')) {
      seen.push(item)
      if (item.type === 'chunk' && item.offset === 0) {
        await appendBytes(bytes.subarray(2), { offset: 2, final: true })
        await tell({ status: 'succeeded' })
      }
    }
    expect(seen).toMatchObject([{ offset: 0, text: 'a' }, { offset: 1, text: 'ä' }, { type: 'end' }])
  })

  test('carries every character that a terminal takes, carriage returns included', async () => {
    const text = '10 %\r20 %\r\n\u001b[31mred\u001b[0m\n\n: data\u2028x'
    await append(text, { final: true })
    await tell({ status: 'succeeded' })
    const client = await door.client('viewer')
    const seen: LogStreamItem[] = []
    for await (const item of client.followLog({ id: runId }, 'build')) seen.push(item)
    expect(textOf(seen)).toBe(text)
  })

  test('keeps what an undo printed apart', async () => {
    await append('did', { final: true })
    await append('undid', { part: 'undo', final: true })
    await tell({ status: 'succeeded' })
    await door.store.runs.finish(runId, { status: 'rolled_back', at: 3_000 }, [])
    expect(await readFrom('')).toEqual(['1.1.3', '1.1.3 end'])
    expect(await readFrom('', '?part=undo')).toEqual(['1.1.5', '1.1.5 end'])
  })

  describe('of a run that somebody goes on with', () => {
    test('waits for the next attempt of a step that is done again, and tells what that prints', async () => {
      await append('no', { final: true })
      await tell({ status: 'errored' })
      await goOn({})
      expect(
        await follow(async () => {
          await append('again no', { attempt: 2, epoch: 2, final: true })
          await tell({ status: 'failed', attempt: 2, epoch: 2 }, 1)
          // It has its retries as at first.
          await append('yes', { attempt: 3, epoch: 2, final: true })
          await tell({ status: 'succeeded', attempt: 3, epoch: 2 }, 2)
        }),
      ).toBe('noagain noyes')
    })

    test('does not end between two attempts: those of the rounds before count for nothing', async () => {
      await append('no', { final: true })
      await tell({ status: 'errored' })
      await goOn({})
      await append('again no', { attempt: 2, epoch: 2, final: true })
      await tell({ status: 'failed', attempt: 2, epoch: 2 }, 1)
      expect(
        await follow(async () => {
          await append('yes', { attempt: 3, epoch: 2, final: true })
          await tell({ status: 'succeeded', attempt: 3, epoch: 2 }, 2)
        }),
      ).toBe('noagain noyes')
    })

    test('ends at once for a step that stays done', async () => {
      await append('yes', { final: true })
      await tell({ status: 'succeeded' })
      await goOn({})
      expect(await readFrom('')).toEqual(['1.1.3', '1.1.3 end'])
    })

    test('waits for a step that had succeeded and is to be done again all the same', async () => {
      await append('yes', { final: true })
      await tell({ status: 'succeeded' })
      await goOn({ from: 'build' })
      expect(
        await follow(async () => {
          await append(' and yes', { attempt: 2, epoch: 2, final: true })
          await tell({ status: 'succeeded', attempt: 2, epoch: 2 }, 1)
        }),
      ).toBe('yes and yes')
    })

    test('waits for an undo that was done before, until it is done again or never comes', async () => {
      const undo = (status: 'done' | 'owed', n: number) => ({
        ...{
          source: 'run',
          epoch: 1,
          n,
          at: n,
          body: { type: 'undo' as const, item: { step: 'build', does: 'takes it back', status } },
        },
      })
      await append('undid', { part: 'undo', final: true })
      await tell({ status: 'succeeded' })
      await door.store.runs.record(runId, [undo('done', 10)])
      await goOn({})
      const client = await door.client('viewer')
      const seen: LogStreamItem[] = []
      for await (const item of client.followLog({ id: runId }, 'build', { query: { part: 'undo' } })) {
        seen.push(item)
        if (item.type !== 'chunk' || item.attempt !== 1) continue
        await door.store.runs.record(runId, [undo('owed', 11)])
        await append(' twice', { part: 'undo', attempt: 2, epoch: 2, final: true })
        await door.store.runs.record(runId, [undo('done', 12)])
      }
      expect(textOf(seen)).toBe('undid twice')
    })

    async function goOn(how: { from?: string }): Promise<void> {
      await door.store.runs.finish(runId, { status: 'failed', at: 2_000 }, [])
      await door.store.runs.resume({ runId, actor: { id: 'token:ana', name: 'ana' }, key: 'k', ...how })
    }

    /** All that is told; `then` happens once all that was there is. */
    async function follow(then: () => Promise<void>): Promise<string> {
      const client = await door.client('viewer')
      const before = (await door.store.logs.list(runId, 'build')).length
      const seen: LogStreamItem[] = []
      for await (const item of client.followLog({ id: runId }, 'build')) {
        if (seen.push(item) === before && item.type === 'chunk') await then()
      }
      return textOf(seen)
    }
  })

  test('ends at once for a step that never ran', async () => {
    await tell({ status: 'skipped' })
    expect(await readFrom('')).toEqual([' end'])
  })

  test('a step that the plan does not have is 404', async () => {
    const client = await door.client('viewer')
    await expect(client.followLog({ id: runId }, 'nothing').next()).rejects.toMatchObject({ code: 'not_found' })
  })
})

type Place = Partial<LogKey> & { offset?: number; final?: boolean }

function append(text: string, place: Place = {}): Promise<void> {
  return appendBytes(Buffer.from(text), place)
}

async function appendBytes(bytes: Buffer, { offset = 0, final = false, ...key }: Place): Promise<void> {
  await door.store.logs.append({ runId, step: 'build', attempt: 1, epoch: 1, part: 'step', ...key }, { offset, bytes, final })
}

async function tell(change: Parameters<typeof stepEvent>[1], n = 0): Promise<void> {
  const ended = change.status === 'skipped' ? {} : { startedAt: 1_000, endedAt: 2_000 }
  await door.store.runs.record(runId, [stepEvent(n, { ...ended, ...change })])
}

/** Ids of the events, with their names where they have one. */
async function readFrom(lastId: string, query = ''): Promise<string[]> {
  const token = await door.token('viewer')
  const headers = { accept: 'text/event-stream', authorization: `Bearer ${token}`, 'last-event-id': lastId }
  const response = await fetch(`${await door.listen()}/api/v1/runs/${runId}/steps/build/log${query}`, { headers })
  const ids: string[] = []
  for await (const { id = '', event } of readEventStream(response.body ?? new ReadableStream())) {
    ids.push(event === 'message' ? id : `${id} ${event}`)
  }
  return ids
}

function textOf(items: LogStreamItem[]): string {
  return items.map((item) => (item.type === 'chunk' ? item.text : '')).join('')
}
