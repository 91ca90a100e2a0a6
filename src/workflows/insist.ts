import { patched, sleep } from '@temporalio/workflow'
import { reasonOf, saidNo, usedItsTime } from './failure.ts'

/** How long an undo insists: "cannot be reached" for half an hour, "said no" five times. Waiting for a worker counts for nothing. */
const unreachableLimitMs = 30 * 60_000
const saidNoLimit = 5

export type Insisted = { type: 'done' } | { type: 'failed'; reason: string }

export interface InsistLimits {
  saidNo?: number
  /** What a worker may take for the activity of one try. Absent: it has a limit of its own that is an answer. */
  tryMs?: number
}

/** Tries until it works or the limits are reached. `attempt` counts from 1. */
export async function insist(tryOnce: (attempt: number) => Promise<void>, limits: InsistLimits = {}): Promise<Insisted> {
  const patience = createPatience(limits.saidNo)
  for (let attempt = 1; ; attempt++) {
    try {
      await tryOnce(attempt)
      return { type: 'done' }
    } catch (error) {
      const waitMs = saidNo(error) ? patience.refused() : patience.unreached(timeOf(error, limits.tryMs))
      if (waitMs === undefined) return { type: 'failed', reason: reasonOf(error) }
      await sleep(waitMs)
    }
  }
}

/**
 * What is known to be a try's own time: an activity that is cut off at its limit has run for so long. Of any other nobody knows
 * how much of it was waiting for a worker.
 */
function timeOf(error: unknown, tryMs: number | undefined): number {
  // Each try is counted for itself: it does not matter whether those before it were.
  return tryMs !== undefined && usedItsTime(error) && patched('insist-counts-tries') ? tryMs : 0
}

/** Counts in vain tries: how long to wait before the next one; undefined: it was the last. */
export function createPatience(mostNoes = saidNoLimit) {
  let noes = 0
  let unreachableMs = 0
  let waitMs = 1_000
  function next(): number | undefined {
    if (noes >= mostNoes || unreachableMs >= unreachableLimitMs) return undefined
    const now = waitMs
    waitMs = Math.min(waitMs * 2, 60_000)
    return now
  }
  return {
    refused(): number | undefined {
      noes += 1
      return next()
    },
    /** `tookMs`: of the try itself. */
    unreached(tookMs: number): number | undefined {
      unreachableMs += tookMs + waitMs
      return next()
    },
  }
}
