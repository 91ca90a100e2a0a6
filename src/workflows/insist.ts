import { sleep } from '@temporalio/workflow'
import { reasonOf, saidNo } from './failure.ts'

/** How long an undo insists: "cannot be reached" for half an hour, "said no" five times. Waiting for a worker counts for nothing. */
const unreachableLimitMs = 30 * 60_000
const saidNoLimit = 5

export type Insisted = { type: 'done' } | { type: 'failed'; reason: string }

/** Tries until it works or the limits are reached. `attempt` counts from 1. */
export async function insist(tryOnce: (attempt: number) => Promise<void>, limits = { saidNo: saidNoLimit }): Promise<Insisted> {
  let noes = 0
  let unreachableMs = 0
  let waitMs = 1_000
  for (let attempt = 1; ; attempt++) {
    try {
      await tryOnce(attempt)
      return { type: 'done' }
    } catch (error) {
      if (saidNo(error)) noes += 1
      else unreachableMs += waitMs
      if (noes >= limits.saidNo || unreachableMs >= unreachableLimitMs) return { type: 'failed', reason: reasonOf(error) }
      await sleep(waitMs)
      waitMs = Math.min(waitMs * 2, 60_000)
    }
  }
}
