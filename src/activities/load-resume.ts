import type { LoadResume, Resumed } from '../contract/activities.ts'
import { BelayError } from '../domain/errors.ts'
import { resumeOutcomes } from '../domain/resume-run.ts'
import { isEndedStep, type Outcome } from '../domain/step.ts'
import type { StepRow, Store } from '../store/store.ts'

/** Reads what the rounds before came to, and says what is done again. */
export async function loadResume({ runs }: Pick<Store, 'runs'>, { runId, resume }: LoadResume): Promise<Resumed> {
  const run = await runs.find(runId)
  if (run === undefined) throw new BelayError({ code: 'not_found', message: `there is no run ${runId}` })
  const { planDigest } = run
  const plan = planDigest === undefined ? undefined : await runs.findPlan(planDigest)
  if (plan === undefined || planDigest === undefined) return { outcomes: [] }
  const planned = new Set(plan.steps.map(({ id }) => id))
  const outcomes = (await runs.steps(runId)).filter(({ step }) => planned.has(step)).map(outcomeOf)
  const { from } = resume
  const epoch = resume.epoch + 1
  return { plan, planDigest, outcomes: resumeOutcomes({ plan, outcomes, undo: run.undo, from, epoch, now: Date.now() }) }
}

/** One that never came to an end was cut, and is done again. */
function outcomeOf({ runId: _runId, tail: _tail, status, endedAt = Date.now(), ...row }: StepRow): Outcome {
  return { ...row, endedAt, status: isEndedStep(status) ? status : 'errored' }
}
