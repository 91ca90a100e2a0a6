/** Carries logs from the spool to the server, in the background: no step ever waits for it. */
import { logChunkBytes } from '../contract/runner-api.ts'
import { messageOf } from '../domain/errors.ts'
import { openLeftoverSpools } from './leftover-spools.ts'
import type { Log } from './log.ts'
import { isRetryable } from './retry.ts'
import type { SegmentSession } from './segment-session.ts'
import type { ServerClient } from './server-client.ts'
import { openSpool, type LogName, type Spool } from './spool.ts'
import { pause, stopWith } from './stop.ts'

export interface LogShipper {
  /** A new log: what is written to it is synced and shipped, until it is closed and the server has all of it. */
  open(name: LogName, session: SegmentSession): Pick<Spool, 'write' | 'close'>
  /** Takes up what an earlier life of this runner left. Once, at start. */
  resume(): void
  /** Resolves when the server has everything, or after `timeoutMs`; true if it has. */
  settle(timeoutMs: number): Promise<boolean>
  /** Ends all shipping; what the server lacks stays on disk for the next start. */
  stop(): Promise<void>
}

export interface LogShipperOptions {
  directory: string
  server: Pick<ServerClient, 'appendLog'>
  /** For logs that an earlier life left. */
  createSession(name: LogName): SegmentSession
  log: Log
}

const firstDelayMs = 200
const longestDelayMs = 5_000
const lastAnswerMs = 500

export function createLogShipper(options: LogShipperOptions): LogShipper {
  const { directory, log } = options
  const stopped = new AbortController()
  const under = new Set<Promise<void>>()
  const start = (spool: Spool, session: SegmentSession) => {
    const work = shipLog({ spool, session, server: options.server, signal: stopped.signal, log }).finally(() =>
      under.delete(work),
    )
    under.add(work)
  }
  return {
    open(name, session) {
      const spool = openSpool({ directory, name, log })
      start(spool, session)
      return spool
    },
    resume() {
      for (const spool of openLeftoverSpools({ directory, log })) start(spool, options.createSession(spool.name))
    },
    async settle(timeoutMs) {
      const all = Promise.all(under).then(() => true)
      return (await Promise.race([all, pause(timeoutMs).then(() => false)])) && under.size === 0
    },
    async stop() {
      stopWith(stopped, 'drained')
      // A token that is just being asked for need not be waited for: the files are as they should be.
      await Promise.race([Promise.all(under), pause(lastAnswerMs)])
    },
  }
}

interface Shipment {
  spool: Spool
  session: SegmentSession
  server: Pick<ServerClient, 'appendLog'>
  signal: AbortSignal
  log: Log
}

/** Sends one log to its end. Ends without it when told to stop, or when the server wants no more of it. */
async function shipLog({ spool, session, server, signal, log }: Shipment): Promise<void> {
  const { name } = spool
  let at = 0
  /** The server's end once its limit is reached: only the closing is sent after that. */
  let fullAt: number | undefined
  let delayMs = firstDelayMs
  for (;;) {
    await spool.whenGrown(fullAt === undefined ? at : Number.MAX_SAFE_INTEGER, signal)
    if (signal.aborted) return spool.leave()
    try {
      const bytes = fullAt === undefined ? await spool.read(at, logChunkBytes) : Buffer.alloc(0)
      const final = spool.isComplete() && (fullAt !== undefined || at + bytes.length === spool.syncedEnd())
      const offset = fullAt ?? at
      const part = { step: name.step, attempt: name.attempt, part: name.part, offset, bytes, final }
      const { end, truncated } = await session.withToken(async (token) => await server.appendLog(token, part, signal))
      if (final && (truncated || end >= offset + bytes.length)) return spool.discard()
      const moved = end !== at || truncated
      if (truncated) fullAt = end
      at = Math.min(end, spool.syncedEnd())
      // An answer that changes nothing would be asked for again at once, for ever.
      if (moved) delayMs = firstDelayMs
      else delayMs = await backOff(delayMs, signal)
    } catch (error) {
      if (!isRetryable(error)) {
        log.warn({ ...name, error: messageOf(error) }, 'the server wants no more of a log; it is dropped')
        return spool.discard()
      }
      delayMs = await backOff(delayMs, signal)
    }
  }
}

async function backOff(delayMs: number, signal: AbortSignal): Promise<number> {
  await pause(delayMs, signal)
  return Math.min(delayMs * 2, longestDelayMs)
}
