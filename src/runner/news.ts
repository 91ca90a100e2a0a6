/** Early news of steps to the server: sent in order, in the background; the workflow writes the outcomes anyway. */
import type { RunEvent, StepChange } from '../domain/run-event.ts'
import { messageOf } from '../domain/errors.ts'
import type { Log } from './log.ts'
import { isRetryable } from './retry.ts'
import type { SegmentSession } from './segment-session.ts'
import type { ServerClient } from './server-client.ts'
import { pause, stopWith } from './stop.ts'

export interface News {
  tell(change: StepChange, session: SegmentSession): void
  /** Resolves when all is told, or after `timeoutMs`; nothing is told after that. */
  stop(timeoutMs: number): Promise<void>
}

const firstDelayMs = 200
const longestDelayMs = 5_000
/** Above this many untold events the oldest are dropped: they are only early news. */
const longestQueue = 2_000
const batch = 100

export function createNews(options: { runner: string; server: Pick<ServerClient, 'reportEvents'>; log: Log }): News {
  const stopped = new AbortController()
  const nextNumber = createEventNumbers()
  const queue: { event: RunEvent; session: SegmentSession }[] = []
  let sending: Promise<void> | undefined

  const sendAll = async () => {
    for (let delayMs = firstDelayMs; queue.length > 0 && !stopped.signal.aborted;) {
      const { session } = queue[0] ?? {}
      if (session === undefined) break
      const other = queue.findIndex((item) => item.session !== session)
      const count = Math.min(batch, other === -1 ? queue.length : other)
      const events = queue.splice(0, count)
      try {
        await session.withToken(
          async (token) => await options.server.reportEvents(token, { events: events.map((item) => item.event) }),
        )
        delayMs = firstDelayMs
      } catch (error) {
        if (isRetryable(error)) {
          queue.unshift(...events)
          await pause(delayMs, stopped.signal)
          delayMs = Math.min(delayMs * 2, longestDelayMs)
        } else options.log.warn({ error: messageOf(error), events: count }, 'the server wants no news of a step')
      }
    }
    sending = undefined
  }
  return {
    tell(change, session) {
      const at = Date.now()
      const source = `runner/${options.runner}`
      queue.push({ event: { source, epoch: change.epoch, n: nextNumber(at), at, body: { type: 'step', change } }, session })
      if (queue.length > longestQueue) queue.shift()
      sending ??= sendAll()
    },
    async stop(timeoutMs) {
      await Promise.race([sending, pause(timeoutMs)])
      stopWith(stopped, 'drained')
    },
  }
}

/**
 * Event numbers are microseconds made of the clock's milliseconds and a counter: they rise within a life of this runner and
 * (source, epoch, n) stays unique over its lives, without a file, as long as the clock is not set back over a restart.
 */
function createEventNumbers(): (at: number) => number {
  let last = 0
  return (at) => {
    last = Math.max(last + 1, at * 1000)
    return last
  }
}
