import { CancellationScope } from '@temporalio/workflow'
import { countLost, latestOutcomes, settleOutcome } from '../domain/outcome.ts'
import type { PlanStep } from '../domain/plan.ts'
import type { Outcome } from '../domain/step.ts'
import { bookkeeping } from './activities.ts'
import { reasonOf } from './failure.ts'
import type { RunContext } from './run-context.ts'

/** Makes one numbered release of what the steps before it left behind. Nothing is owed for it: a release is only a name. */
export async function releaseStep(
  context: RunContext,
  step: Extract<PlanStep, { kind: 'release' }>,
  attempt: number,
): Promise<void> {
  const startedAt = Date.now()
  const base = { step: step.id, attempt, epoch: 0, startedAt }
  const { run, resume } = context.input
  const latest = latestOutcomes(context.outcomes)
  const from = step.release.from.map((id) => ({ step: id, result: latest.get(id)?.result ?? {} }))
  try {
    const release = await CancellationScope.nonCancellable(() =>
      bookkeeping.createRelease({
        runId: run.id,
        // What is done again is another release.
        step: resume === undefined ? step.id : `${step.id}~${String(resume.round)}`,
        project: run.project,
        sha: run.trigger.sha,
        from,
        ...(step.release.version === undefined ? {} : { version: step.release.version }),
      }),
    )
    const image = release.image
    context.record([
      {
        ...base,
        status: 'succeeded',
        endedAt: Date.now(),
        result: { release: { id: release.id, number: release.number, version: release.version }, image },
      },
    ])
  } catch (error) {
    const ended: Outcome = { ...base, status: 'errored', endedAt: Date.now(), reason: reasonOf(error) }
    context.record([settleOutcome(step, ended, countLost(context.outcomes, step.id))])
  }
}
