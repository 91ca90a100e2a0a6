import { CancellationScope, log } from '@temporalio/workflow'
import type { RunEvent, RunEventBody } from '../domain/run-event.ts'
import { bookkeeping } from './activities.ts'
import { reasonOf } from './failure.ts'

/** Tells the store what happens in a run. Nothing waits for it: events are sent in batches, in the background, in order. */
export interface News {
  tell(body: RunEventBody): void
  /** Gives what was not sent yet, for a write of the run's own; what is told after that is sent again. */
  drain(): Promise<RunEvent[]>
}

const batchSize = 100

export function createNews(writer: { runId: string; source: string; epoch: number }): News {
  const { runId, source, epoch } = writer
  const pending: RunEvent[] = []
  let n = 0
  let sending: Promise<void> | undefined
  let draining = false

  async function send(): Promise<void> {
    while (pending.length > 0 && !draining) {
      const events = pending.slice(0, batchSize)
      try {
        await bookkeeping.recordRunEvents({ runId, events })
      } catch (error) {
        // Bookkeeping is retried for ever; what it refuses for good is news lost, and no reason to fail a run.
        log.warn('events were refused', { runId, source, reason: reasonOf(error) })
      }
      pending.splice(0, events.length)
    }
    sending = undefined
  }

  return {
    tell(body) {
      pending.push({ source, epoch, n: n++, at: Date.now(), body })
      sending ??= CancellationScope.nonCancellable(send)
    },
    async drain() {
      draining = true
      await sending
      sending = undefined
      draining = false
      return pending.splice(0)
    },
  }
}
