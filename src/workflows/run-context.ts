import type { RunInput } from '../contract/run-workflow.ts'
import { mergeOutcomes } from '../domain/outcome.ts'
import type { Plan } from '../domain/plan.ts'
import type { Outcome } from '../domain/step.ts'
import type { Answers } from './answers.ts'
import type { News } from './news.ts'
import type { UndoStack } from './saga.ts'
import type { Workspace } from './workspace.ts'

/** What the parts of a run share. Outcomes are facts: added, never changed. */
export interface RunContext {
  readonly input: RunInput
  readonly plan: Plan
  readonly planDigest: string
  readonly news: News
  readonly workspace: Workspace
  readonly undo: UndoStack
  readonly answers: Answers
  readonly outcomes: readonly Outcome[]
  /** How often each step was cut short by the death of its runner. */
  readonly interruptions: Record<string, number>
  record(outcomes: readonly Outcome[]): void
}

export function createRunContext(parts: Omit<RunContext, 'outcomes' | 'interruptions' | 'record'>): RunContext {
  let outcomes: Outcome[] = []
  return {
    ...parts,
    get outcomes() {
      return outcomes
    },
    interruptions: {},
    record(added) {
      const before = outcomes.length
      outcomes = mergeOutcomes(outcomes, added)
      for (const outcome of outcomes.slice(before)) {
        const { retryAt, ...change } = outcome
        parts.news.tell({ type: 'step', change })
        if (retryAt === undefined && outcome.result?.artifacts !== undefined) parts.workspace.lay(outcome.result.artifacts)
      }
    },
  }
}
