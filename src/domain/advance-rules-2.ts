import type { Advance } from './advance.ts'
import { isFinal, latestOutcomes } from './outcome.ts'
import type { Plan, PlanStep } from './plan.ts'
import type { Outcome } from './step.ts'

/**
 * Rule set 2: as 1, but what has succeeded may have been lost with its runner, and is done again: every attempt waits for all
 * that it needs, near and far. Shipped: do not edit (see `advance`).
 */
export function advanceByRules2(plan: Plan, outcomes: readonly Outcome[], now: number): Advance {
  const latest = latestOutcomes(outcomes)
  const skipped = skipAll(plan, latest, now)
  const stopped = [...latest.values()].some((outcome) => isFinal(outcome) && !isGood(outcome))
  if (stopped) return { ready: [], skipped, stopped, done: true }

  const isDone = createIsDone(plan, latest)
  const ready: Advance['ready'] = []
  let retryAt: number | undefined
  let open = 0
  for (const step of plan.steps) {
    const last = latest.get(step.id)
    if (last !== undefined && isFinal(last)) continue
    open += 1
    if (!step.needs.every(isDone)) continue
    if (last?.retryAt !== undefined && last.retryAt > now) retryAt = Math.min(retryAt ?? last.retryAt, last.retryAt)
    else ready.push({ step: step.id, attempt: (last?.attempt ?? 0) + 1 })
  }
  return { ready, skipped, stopped, done: open === 0, ...(retryAt === undefined ? {} : { retryAt }) }
}

/** Has the step succeeded, and all that it needed? One that keeps its outcome may have needed what does not. */
function createIsDone(plan: Plan, latest: ReadonlyMap<string, Outcome>): (id: string) => boolean {
  const needs = new Map(plan.steps.map((step) => [step.id, step.needs]))
  const known = new Map<string, boolean>()
  const isDone = (id: string): boolean => {
    const found = known.get(id) ?? (latest.get(id)?.status === 'succeeded' && (needs.get(id) ?? []).every(isDone))
    known.set(id, found)
    return found
  }
  return isDone
}

/** Adds the outcomes of steps that are left out, or need one that is, to `latest`; returns them. */
function skipAll(plan: Plan, latest: Map<string, Outcome>, now: number): Outcome[] {
  const skipped: Outcome[] = []
  // Written order need not be dependency order, so go round until nothing changes.
  for (let before = -1; before !== skipped.length;) {
    before = skipped.length
    for (const step of plan.steps) {
      const reason = latest.has(step.id) ? undefined : whySkipped(step, latest)
      if (reason === undefined) continue
      const outcome: Outcome = { step: step.id, attempt: 1, epoch: 0, status: 'skipped', endedAt: now, reason }
      latest.set(step.id, outcome)
      skipped.push(outcome)
    }
  }
  return skipped
}

function whySkipped(step: PlanStep, latest: ReadonlyMap<string, Outcome>): string | undefined {
  if (step.skip !== undefined) return step.skip
  const need = step.needs.find((id) => latest.get(id)?.status === 'skipped')
  return need === undefined ? undefined : `needs "${need}", which was skipped`
}

function isGood(outcome: Outcome): boolean {
  return outcome.status === 'succeeded' || outcome.status === 'skipped'
}
