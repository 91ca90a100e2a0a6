import { latestOutcomes } from './outcome.ts'
import { loadStep, type Plan } from './plan.ts'
import type { UndoItem } from './run-event.ts'
import type { Outcome } from './step.ts'

/** Settling points: steps with `settle`. Once one has succeeded, what is up to it is not taken back any more. */

/** The step and all that it needs, near and far. Parallel branches are not in it. */
export function stepsUpTo(plan: Plan, id: string): Set<string> {
  const found = new Set<string>()
  const open = [id]
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    if (found.has(next)) continue
    found.add(next)
    open.push(...loadStep(plan, next).needs)
  }
  return found
}

export interface Standing {
  plan: Plan
  outcomes: readonly Outcome[]
  undo: readonly Pick<UndoItem, 'step' | 'status'>[]
}

/**
 * Points that have succeeded while something up to them is still owed. That follows from what has happened and what is owed, so
 * whoever goes on with a run after a kill comes to the same: such a point settles, whatever ends the run then.
 */
export function pointsDue({ plan, outcomes, undo }: Standing): string[] {
  const points = plan.steps.filter(({ settle }) => settle === true)
  if (points.length === 0) return []
  const latest = latestOutcomes(outcomes)
  const owed = undo.filter(({ status }) => status === 'owed')
  return points.flatMap(({ id }) => {
    if (latest.get(id)?.status !== 'succeeded') return []
    const upTo = stepsUpTo(plan, id)
    return owed.some(({ step }) => upTo.has(step)) ? [id] : []
  })
}

/** Does the step begin only when one of these points has settled? */
export function waitsFor(plan: Plan, step: string, points: readonly string[]): boolean {
  if (points.length === 0) return false
  const upTo = stepsUpTo(plan, step)
  return points.some((point) => upTo.has(point))
}
