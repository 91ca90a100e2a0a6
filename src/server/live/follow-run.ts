import { isEndedRun } from '../../domain/run.ts'
import type { Store } from '../../store/store.ts'
import { beat, lookAgainMs, type Live } from './send-events.ts'

const pageSize = 200

/** A run's events after a sequence number, as they come, and `end` once it has ended and all of them were sent. */
export async function* followRun(store: Store, input: { runId: string; after: number; signal: AbortSignal }): Live {
  const { runId, signal } = input
  let after = input.after
  while (!signal.aborted) {
    // The status is read first: what was written before the end is then among the events.
    const run = await store.runs.find(runId)
    const events = await store.runs.events(runId, { after, limit: pageSize })
    for (const event of events) {
      yield { id: String(event.seq), data: event }
      after = event.seq
    }
    if (events.length > 0) continue
    if (run === undefined || isEndedRun(run.status)) {
      yield { event: 'end', data: { status: run?.status ?? 'errored' } }
      return
    }
    await store.runs.waitForEvents(runId, { after, timeoutMs: lookAgainMs, signal })
    yield beat
  }
}
