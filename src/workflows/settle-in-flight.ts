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
  for (const { step: id, attempt } of underWay) {
    context.interruptions[id] = (context.interruptions[id] ?? 0) + 1
    const step = loadStep(plan, id)
    if (step.undo === undefined) continue
    const reason = `runner "${runner}" was lost while it may have been running`
    const ended: Outcome = { step: id, attempt, epoch: ref.epoch, status: 'errored', endedAt: Date.now(), reason }
    const settled = settleOutcome(step, ended, countLost(context.outcomes, id))
    // Without a further attempt the end of the run takes it back.
    const undone = settled.retryAt === undefined ? undefined : await context.undo.undoFirst(id)
    const last = undone?.type === 'failed' ? { ...ended, reason: `${reason}, and its undo failed: ${undone.reason}` } : settled
    context.record([last])
  }
}
