import { expect, test } from 'vitest'
import { readEventStream, type StreamEvent } from './event-stream.ts'

const stream = 'retry: 1000\n\n:\n\nid: 1\ndata: {"a":\ndata: 1}\n\nevent: end\ndata:x\n\ndata: never finished'

test('events are read whole, whatever the network cuts them into', async () => {
  const bytes = new TextEncoder().encode(`${stream} ä`)
  for (const size of [1, 2, 7, bytes.length]) {
    expect(await read(bytes, size)).toEqual([
      { id: '1', event: 'message', data: '{"a":\n1}' },
      { id: '1', event: 'end', data: 'x' },
    ])
  }
})

test('lines may end as on other systems', async () => {
  expect(await read(new TextEncoder().encode('id: 7\r\ndata: y\r\n\r\n'), 3)).toEqual([{ id: '7', event: 'message', data: 'y' }])
})

async function read(bytes: Uint8Array, size: number): Promise<StreamEvent[]> {
  const events: StreamEvent[] = []
  for await (const event of readEventStream(pieces(bytes, size))) events.push(event)
  return events
}

async function* pieces(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield await Promise.resolve(bytes.subarray(at, at + size))
}
