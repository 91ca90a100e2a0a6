/** One HTTP exchange with a registry: bounded by silence, never by patience. Redirects and retries are the caller's. */
import { request as requestHttp, type IncomingHttpHeaders, type IncomingMessage } from 'node:http'
import { request as requestHttps } from 'node:https'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { Fault } from './fault.ts'

export interface ExchangeInput {
  method: 'GET' | 'HEAD' | 'POST' | 'PATCH' | 'PUT'
  url: URL
  headers?: Readonly<Record<string, string>>
  body?: { bytes: AsyncIterable<Uint8Array> | Buffer; size: number }
  /** Nothing heard and nothing taken for this long: it hangs. Connecting counts. */
  silenceMs: number
  /** In all, for one that never falls silent and never ends. */
  mostMs: number
  signal: AbortSignal
}

export interface Answer {
  status: number
  headers: IncomingHttpHeaders
  /** To be read or destroyed. An answer that is cut short errors. */
  body: IncomingMessage
}

/** Resolves with the head of the answer. Throws a `Fault` for what the wire did, the signal's reason once it is aborted. */
export async function exchange(input: ExchangeInput): Promise<Answer> {
  const { method, url, body, signal } = input
  signal.throwIfAborted()
  const size = body === undefined ? {} : { 'content-length': String(body.size) }
  const send = url.protocol === 'https:' ? requestHttps : requestHttp
  // As an option it is armed before there is a connection; `setTimeout` would wait for one.
  const asking = send(url, { method, agent: false, headers: { ...input.headers, ...size }, signal, timeout: input.silenceMs })
  asking.on('timeout', () => asking.destroy(new Fault(`it was silent for ${String(input.silenceMs)} ms`)))
  const whole = setTimeout(() => asking.destroy(new Fault(`it was not done after ${String(input.mostMs)} ms`)), input.mostMs)
  asking.once('close', () => {
    clearTimeout(whole)
  })
  const own: { error?: Error } = {}
  const answered = new Promise<Answer>((resolve, reject) => {
    asking.once('response', (message) => {
      resolve({ status: message.statusCode ?? 0, headers: message.headers, body: message })
    })
    // Stays for the whole exchange: after the answer has begun, its own errors say what happened.
    asking.on('error', (error) => {
      reject(signal.aborted ? (signal.reason as Error) : (own.error ?? toFault(error)))
    })
  })
  if (body === undefined) asking.end()
  else if (Buffer.isBuffer(body.bytes)) asking.end(body.bytes)
  else await Promise.race([answered, sendBody(body.bytes, asking, own)])
  return await answered
}

/** Our own side's errors (a file that cannot be read) are thrown as they are; those of the wire come by the request. */
async function sendBody(
  bytes: AsyncIterable<Uint8Array>,
  asking: ReturnType<typeof requestHttp>,
  own: { error?: Error },
): Promise<void> {
  const source = Readable.from(
    (async function* () {
      try {
        yield* bytes
      } catch (error) {
        own.error = error instanceof Error ? error : new Error(String(error))
        throw own.error
      }
    })(),
  )
  try {
    await pipeline(source, asking)
  } catch (error) {
    if (own.error !== undefined) throw own.error
    // An answer that came before the body was taken is told by the answer; a broken wire by the request.
    if (!asking.destroyed) throw toFault(error)
  }
}

export function toFault(error: unknown): Fault {
  return error instanceof Fault ? error : new Fault(error instanceof Error ? error.message : String(error), { cause: error })
}

/** The whole body, at most `limit` bytes. Cut short, or longer: a `Fault`. */
export async function readAll(body: IncomingMessage, limit: number): Promise<Buffer> {
  const chunks: Buffer[] = []
  let size = 0
  try {
    for await (const chunk of body as AsyncIterable<Buffer>) {
      size += chunk.length
      if (size > limit) throw new Fault(`its answer is longer than ${String(limit)} bytes`)
      chunks.push(chunk)
    }
  } catch (error) {
    throw toFault(error)
  }
  return Buffer.concat(chunks)
}
