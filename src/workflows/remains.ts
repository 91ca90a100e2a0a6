import type { CancelRequest, RunInput, RunRemains } from '../contract/run-workflow.ts'
import type { Outcome } from '../domain/step.ts'
import type { Answers } from './answers.ts'
import type { Closing } from './closing.ts'
import type { RunContext } from './run-context.ts'
import type { UndoStack } from './saga.ts'
import type { Workspace } from './workspace.ts'

/** The parts of a run that is under way, in whichever workflow. */
export interface RunParts {
  input: RunInput
  context: RunContext | undefined
  undo: UndoStack
  answers: Answers
  workspace: Workspace
  closing: Closing
  cancel: CancelRequest | undefined
}

/** What would be left of the run if its workflow were ended now. */
export function remainsOf({ input, context, undo, answers, workspace, closing, cancel }: RunParts): RunRemains {
  return {
    input,
    ...(context === undefined ? {} : { planDigest: context.planDigest }),
    outcomes: (context?.outcomes ?? []).map(withoutTail),
    earlier: context?.earlier ?? 0,
    undo: undo.remains(),
    answers: answers.list(),
    workspace: workspace.place(),
    closing: closing.state,
    ...(cancel === undefined ? {} : { cancel }),
  }
}

/** An answer has its limit, and what was printed is in the store. */
function withoutTail({ tail: _tail, ...outcome }: Outcome): Outcome {
  return outcome
}

export function reasonOfCancel({ actor, reason }: CancelRequest): string {
  return reason ?? `cancelled by ${actor.name}`
}
