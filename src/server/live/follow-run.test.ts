import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { openFrontDoor, startPlannedRun, stepEvent, type FrontDoor } from '../../../test/helpers/front-door.ts'
import { createClient, type RunStreamItem } from '../../api/client.ts'
import { readEventStream, type StreamEvent } from '../../api/event-stream.ts'

let door: FrontDoor
let runId: string

beforeEach(async () => {
  door = await openFrontDoor()
  runId = (await startPlannedRun(door.store)).id
})

afterEach(() => door.close())

describe('a stream of run events', () => {
  test('tells what was written before and what is written while it is read, and ends after the run has ended', async () => {
    await door.store.runs.record(runId, [stepEvent(0, { status: 'queued' })])
    const client = await door.client('viewer')
    const seen: RunStreamItem[] = []
    for await (const item of client.followRun({ id: runId })) {
      seen.push(item)
      if (item.type === 'event' && item.event.n === 0 && item.event.source === 'run') await endRun()
    }
    expect(seen.at(-1)).toEqual({ type: 'end', status: 'succeeded' })
    const sequences = seen.flatMap((item) => (item.type === 'event' ? [item.event.seq] : []))
    expect(sequences).toEqual(sequences.map((_, index) => index + 1))
    expect(sequences.length).toBe((await door.store.runs.events(runId, { after: 0, limit: 100 })).length)
  })

  test('is resumed after Last-Event-ID: nothing is missed, nothing comes twice', async () => {
    await recordMany(5)
    const first = await readSome('', 3)
    const lastId = first.at(-1)?.id ?? ''
    await endRun()
    const rest = await readSome(lastId, Infinity)
    const ids = [...first, ...rest].flatMap(({ id, event }) => (event === 'end' ? [] : [Number(id)]))
    expect(ids).toEqual(ids.map((_, index) => index + 1))
    expect(rest.at(-1)?.event).toBe('end')
  })

  test('goes on by itself in the client when the connection breaks', async () => {
    await recordMany(4)
    await endRun()
    const url = await door.listen()
    let connections = 0
    // Every connection breaks after a few bytes: a fault that a real network will not make on demand.
    const fragile: typeof fetch = async (...args) => {
      connections += 1
      const response = await fetch(...args)
      return new Response(cutAfter(response, 700), { headers: response.headers })
    }
    const client = createClient({ url, token: await door.token('viewer'), fetch: fragile })
    const sequences: number[] = []
    // The patience is for servers that do not answer at all, not for a stream that was long.
    for await (const item of client.followRun({ id: runId }, { giveUpAfterMs: 1 }))
      if (item.type === 'event') sequences.push(item.event.seq)
    expect(connections).toBeGreaterThan(1)
    expect(sequences).toEqual(sequences.map((_, index) => index + 1))
  })

  test('ends when the server stops, though the run goes on', async () => {
    const token = await door.token('viewer')
    const headers = { accept: 'text/event-stream', authorization: `Bearer ${token}` }
    const response = await fetch(`${await door.listen()}/api/v1/runs/${runId}/events`, { headers })
    expect(response.headers.get('content-type')).toBe('text/event-stream; charset=utf-8')
    const closed = door.app.close()
    await response.text().catch(() => 'cut off')
    await closed
  })

  test('refuses a Last-Event-ID that is not one of its own', async () => {
    const headers = {
      accept: 'text/event-stream',
      authorization: `Bearer ${await door.token('viewer')}`,
      'last-event-id': '1.2.3',
    }
    expect((await door.app.inject({ method: 'GET', url: `/api/v1/runs/${runId}/events`, headers })).statusCode).toBe(400)
  })
})

describe('a page of run events', () => {
  test('goes on after a sequence number, and says when there will be no more', async () => {
    await recordMany(3)
    const client = await door.client('viewer')
    const first = await client.listRunEvents({ id: '1', project: 'shop' }, { limit: 2 })
    expect(first).toMatchObject({ next: 2, end: false })
    await endRun()
    const rest = await client.listRunEvents({ id: runId }, { after: first.next })
    expect(rest.end).toBe(true)
    expect(rest.items[0]?.seq).toBe(3)
  })
})

async function recordMany(count: number): Promise<void> {
  const events = Array.from({ length: count }, (_, n) => stepEvent(n, { attempt: n + 1 }))
  await door.store.runs.record(runId, events)
}

async function endRun(): Promise<void> {
  const event = { source: 'run', epoch: 1, n: 99, at: 2_000, body: { type: 'run' as const, status: 'succeeded' as const } }
  await door.store.runs.finish(runId, { status: 'succeeded', at: 2_000 }, [event])
}

async function readSome(lastId: string, count: number): Promise<StreamEvent[]> {
  const token = await door.token('viewer')
  const headers = { accept: 'text/event-stream', authorization: `Bearer ${token}`, 'last-event-id': lastId }
  const response = await fetch(`${await door.listen()}/api/v1/runs/${runId}/events`, { headers })
  const events: StreamEvent[] = []
  for await (const event of readEventStream(response.body ?? new ReadableStream())) {
    events.push(event)
    if (events.length >= count) break
  }
  return events
}

function cutAfter(response: Response, bytes: number): ReadableStream<Uint8Array> {
  let left = bytes
  const reader = (response.body ?? new ReadableStream<Uint8Array>()).getReader() as ReadableStreamDefaultReader<Uint8Array>
  return new ReadableStream({
    async pull(controller) {
      const { value, done } = await reader.read()
      if (done) return controller.close()
      controller.enqueue(value.subarray(0, left))
      left -= value.length
      if (left <= 0) {
        await reader.cancel()
        controller.error(new Error('the connection broke'))
      }
    },
  })
}
