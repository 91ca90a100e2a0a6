import type { Outcome } from './step.ts'
import type { Plan } from './plan.ts'
import { advanceByRules1 } from './advance-rules-1.ts'
import { advanceByRules2 } from './advance-rules-2.ts'

/** What may happen next. */
export interface Advance {
  /** Steps that may start now, in the plan's order, with the attempt they start as. Some may be running already: the caller knows. */
  ready: { step: string; attempt: number }[]
  /** Steps that will never start, as outcomes to be recorded. */
  skipped: Outcome[]
  /** The earliest moment at which a retry becomes ready by time alone. */
  retryAt?: number
  /** A step has failed for good: no new step starts. */
  stopped: boolean
  /** Nothing will become ready by itself any more: once what runs has ended, the plan has. */
  done: boolean
}

/**
 * The one interpreter: what is ready, skipped, to be retried, decided. Pure; the workflow asks it between segments, the
 * runner inside one. A rule set that has shipped is never edited: a change is a new number beside it.
 */
export function advance(plan: Plan, outcomes: readonly Outcome[], now: number): Advance {
  switch (plan.rules) {
    case 1:
      return advanceByRules1(plan, outcomes, now)
    case 2:
      return advanceByRules2(plan, outcomes, now)
  }
}
