/** Event streams that go on where they were: each connection resumes after the last event that arrived. */
import { BelayError } from '../domain/errors.ts'
import { readEventStream, type StreamEvent } from './event-stream.ts'
import type { RequestOptions, Transport } from './transport.ts'

export interface FollowOptions {
  /** Ends the generator; nothing is thrown. */
  signal?: AbortSignal | undefined
  /** How long no server may answer before it throws `unavailable`. Default: 60 s. */
  giveUpAfterMs?: number
}

const pausesMs = { first: 200, most: 3_000 } as const

/**
 * All events of a stream, the `end` event included, which ends it. A connection that breaks is made again with
 * `Last-Event-ID`. A refusal (4xx) is thrown at once.
 */
export async function* follow(
  transport: Transport,
  request: RequestOptions,
  options: FollowOptions,
): AsyncGenerator<StreamEvent> {
  const { signal, giveUpAfterMs = 60_000 } = options
  let lastId: string | undefined
  let pauseMs: number = pausesMs.first
  let heardAt = Date.now()
  while (!isAborted(signal)) {
    let connected = false
    try {
      const response = await transport({ ...request, signal, headers: { ...request.headers, ...resumeHeaders(lastId) } })
      connected = true
      if (response.body === null) return
      for await (const event of readEventStream(response.body)) {
        lastId = event.id ?? lastId
        pauseMs = pausesMs.first
        yield event
        if (event.event === 'end') return
      }
    } catch (error) {
      if (isAborted(signal)) return
      if (error instanceof BelayError && !error.retryable) throw error
      if (!connected && Date.now() - heardAt > giveUpAfterMs) throw unreachable(error)
    }
    if (connected) heardAt = Date.now()
    await pause(pauseMs, signal)
    pauseMs = Math.min(pauseMs * 2, pausesMs.most)
  }
}

function isAborted(signal: AbortSignal | undefined): boolean {
  return signal?.aborted === true
}

function resumeHeaders(lastId: string | undefined): Record<string, string> {
  return { accept: 'text/event-stream', ...(lastId === undefined ? {} : { 'last-event-id': lastId }) }
}

function unreachable(error: unknown): BelayError {
  if (error instanceof BelayError) return error
  return new BelayError({
    code: 'unavailable',
    message: 'the stream broke off and could not be resumed',
    retryable: true,
    cause: error,
  })
}

function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(finish, ms)
    signal?.addEventListener('abort', finish, { once: true })
    function finish(): void {
      clearTimeout(timer)
      signal?.removeEventListener('abort', finish)
      resolve()
    }
  })
}
