import { patched } from '@temporalio/workflow'
import { advance } from '../domain/advance.ts'
import { countLost, settleOutcome } from '../domain/outcome.ts'
import { loadStep, type Segment } from '../domain/plan.ts'
import type { Outcome } from '../domain/step.ts'
import type { RunContext } from './run-context.ts'
import type { HeldWorkspace } from './workspace.ts'

/**
 * What may have been under way on a runner that is gone counts as interrupted, and runs again elsewhere. A step with an undo
 * may have happened: it is undone first, and runs again only if its `retry` allows for `errored`.
 */
export async function settleInFlight(context: RunContext, segment: Segment, { runner, ref }: HeldWorkspace): Promise<void> {
  const { plan } = context
  // As it was there: what is known by now to be lost with it was needed, and had been done.
  const then = context.outcomes.filter(({ epoch }) => epoch <= ref.epoch)
  const underWay = advance(plan, then, Date.now()).ready.filter(({ step }) => segment.steps.includes(step))
  for (const { step, attempt } of underWay) {
    countInterruptions(context, [step])
    const reason = `runner "${runner}" was lost while it may have been running`
    await undoFirst(context, { step, attempt, epoch: ref.epoch, reason })
  }
}

/** The same for steps that their runner, which is there again, knows to be interrupted. It has been given a new epoch. */
export async function settleInterrupted(
  context: RunContext,
  interrupted: readonly string[],
  { runner, ref }: HeldWorkspace,
): Promise<void> {
  const { ready } = advance(context.plan, context.outcomes, Date.now())
  for (const { step, attempt } of ready) {
    if (!interrupted.includes(step) || !hasUndo(context, step)) continue
    // Each interruption is settled for itself: it does not matter whether one before it was.
    if (!patched('undo-what-was-interrupted')) return
    const reason = `it was interrupted on runner "${runner}"`
    await undoFirst(context, { step, attempt, epoch: ref.epoch, reason })
  }
}

export function hasUndo({ plan }: RunContext, step: string): boolean {
  return loadStep(plan, step).undo !== undefined
}

export function countInterruptions({ interruptions }: RunContext, steps: readonly string[]): void {
  for (const step of steps) interruptions[step] = (interruptions[step] ?? 0) + 1
}

/** Ends the attempt of a step with an undo, and takes it back if there is to be another one; leaves any other step alone. */
async function undoFirst(
  context: RunContext,
  { step: id, attempt, epoch, reason }: { step: string; attempt: number; epoch: number; reason: string },
): Promise<void> {
  if (!hasUndo(context, id)) return
  const ended: Outcome = { step: id, attempt, epoch, status: 'errored', endedAt: Date.now(), reason }
  const settled = settleOutcome(loadStep(context.plan, id), ended, countLost(context.outcomes, id))
  // Without a further attempt the end of the run takes it back.
  const undone = settled.retryAt === undefined ? undefined : await context.undo.undoFirst(id)
  const last = undone?.type === 'failed' ? { ...ended, reason: `${reason}, and its undo failed: ${undone.reason}` } : settled
  context.record([last])
}
