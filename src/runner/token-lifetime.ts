import type { Plan, Segment } from '../domain/plan.ts'

const dayMs = 24 * 3_600_000
const shippingMs = 3_600_000

/** How long a segment's token is asked for: all attempts at their longest, and an hour for logs to arrive; a day at most. */
export function lifetimeOf(plan: Plan, segment: Segment): number {
  const steps = plan.steps.filter((step) => segment.steps.includes(step.id))
  const longest = steps.map(({ timeoutMs, retry }) => (timeoutMs + retry.backoffMs * 2 ** retry.max) * (retry.max + 1))
  return lifetimeOfWork(longest.reduce((sum, ms) => sum + ms, 0))
}

export function lifetimeOfWork(longestMs: number): number {
  return Math.min(dayMs, longestMs + shippingMs)
}
