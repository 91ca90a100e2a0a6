/** Server-sent events (WHATWG HTML, section 9.2) out of a generator, which is asked only as fast as the reader reads. */
import { Readable } from 'node:stream'
import type { FastifyReply } from 'fastify'
import type { Logger } from 'pino'
import { messageOf } from '../../domain/errors.ts'

export interface LiveEvent {
  /** What a reader resumes from, as `Last-Event-ID`. */
  id?: string
  /** Default: `message`. */
  event?: string
  /** Sent as JSON, so no byte of it can end a line. */
  data: unknown
}

/** Keeps the connection alive while there is nothing to tell. */
export const beat = Symbol('beat')
export type Live = AsyncGenerator<LiveEvent | typeof beat>

/** How long a stream may wait before it looks again: what another process wrote wakes nobody here. */
export const lookAgainMs = 1_000
const retryMs = 1_000

export function sendEvents(reply: FastifyReply, { events, log }: { events: Live; log: Logger }): FastifyReply {
  return reply
    .headers({ 'content-type': 'text/event-stream; charset=utf-8', 'x-accel-buffering': 'no' })
    .send(Readable.from(encode(events, log), { objectMode: true, highWaterMark: 1 }))
}

/** Aborted when the reader goes or the server stops. */
export function lifeOf(reply: FastifyReply, closing: AbortSignal): AbortSignal {
  const gone = new AbortController()
  reply.raw.once('close', () => {
    gone.abort()
  })
  return AbortSignal.any([gone.signal, closing])
}

async function* encode(events: Live, log: Logger): AsyncGenerator<string> {
  yield `retry: ${String(retryMs)}\n\n`
  try {
    for await (const event of events) yield event === beat ? ':\n\n' : formatEvent(event)
  } catch (error) {
    // The answer has begun, so it can only break off: the reader resumes.
    log.error({ error: messageOf(error) }, 'a stream broke off')
    throw error
  }
}

function formatEvent({ id, event, data }: LiveEvent): string {
  const lines = [
    id === undefined ? [] : [`id: ${id}`],
    event === undefined ? [] : [`event: ${event}`],
    `data: ${JSON.stringify(data)}`,
  ]
  return `${lines.flat().join('\n')}\n\n`
}
