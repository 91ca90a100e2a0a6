import { CancellationScope } from '@temporalio/workflow'
import { pointsDue, stepsUpTo } from '../domain/settling-points.ts'
import { keepDeployments } from './deploy-step.ts'
import { reasonOf } from './failure.ts'
import type { RunContext } from './run-context.ts'

/** Steps with `settle` that have succeeded, and are still to be settled. */
export function findDue({ plan, outcomes, undo }: RunContext): string[] {
  return pointsDue({ plan, outcomes, undo: undo.list() })
}

/**
 * What is up to the step is not taken back any more: its deployments are kept, all of them or none. Once begun it comes to its
 * end, also in a run that is cancelled. Throws if something does not serve any more: then all of it is still owed.
 */
export function settlePoint(context: RunContext, point: string): Promise<void> {
  const upTo = stepsUpTo(context.plan, point)
  return CancellationScope.nonCancellable(async () => {
    await keepDeployments(context, upTo)
    context.undo.discharge(upTo)
  })
}

/** Settles all that is due, in a run that is not carried on with; says why not, if something could not be. */
export async function settleDue(context: RunContext): Promise<string | undefined> {
  let reason: string | undefined
  for (const point of findDue(context)) {
    try {
      await settlePoint(context, point)
    } catch (error) {
      reason ??= reasonOf(error)
    }
  }
  return reason
}
