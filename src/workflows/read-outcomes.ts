import { latestOutcomes } from '../domain/outcome.ts'
import type { EndFacts } from '../domain/run.ts'
import type { Outcome } from '../domain/step.ts'
import type { RunContext } from './run-context.ts'

/** What the steps say about the end of the run; the reason is that of the first one that ended badly. */
export function readOutcomes(context: RunContext, facts: EndFacts): string | undefined {
  const latest = latestOutcomes(context.outcomes)
  let reason: string | undefined
  for (const { id } of context.plan.steps) {
    const outcome = latest.get(id)
    if (outcome === undefined || outcome.status === 'succeeded' || outcome.status === 'skipped' || outcome.status === 'cancelled')
      continue
    // It had succeeded, and the run stopped for another reason before it could be done again.
    if (outcome.lost === true) continue
    if (outcome.status === 'errored') facts.errored = true
    else facts.failed = true
    reason ??= `step "${id}" ${outcome.status}${outcome.reason === undefined ? '' : `: ${outcome.reason}`}`
  }
  return reason
}

/**
 * Steps that never started, for whoever looks at the run later. In a run that somebody goes on with also those that were to be
 * done again: what an earlier round made of them counts for nothing, and the next round has to know.
 */
export function skipRest({ plan, outcomes, input }: Pick<RunContext, 'plan' | 'outcomes' | 'input'>): Outcome[] {
  const latest = latestOutcomes(outcomes)
  return plan.steps.flatMap(({ id }) => {
    const last = latest.get(id)
    const isDue = last === undefined || (last.lost === true && input.resume !== undefined)
    if (!isDue) return []
    const attempt = (last?.attempt ?? 0) + 1
    return { step: id, attempt, epoch: 0, status: 'skipped' as const, endedAt: Date.now(), reason: 'the run stopped before' }
  })
}
