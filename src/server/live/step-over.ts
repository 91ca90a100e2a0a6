import { isRunnerStep, type Plan, type PlanStep } from '../../domain/plan.ts'
import { isEndedRun } from '../../domain/run.ts'
import { isEndedStep } from '../../domain/step.ts'
import type { Run, StepRow, Store } from '../../store/store.ts'

export interface StepPart {
  run: Run
  step: string
  part: 'step' | 'undo'
}

/** Will this part of the step print nothing more? What it has printed may still be on its way. */
export async function isStepOver(store: Store, { run, step, part }: StepPart): Promise<boolean> {
  if (isEndedRun(run.status)) return true
  if (part === 'undo') return isUndoOver(run, step)
  const plan = run.planDigest === undefined ? undefined : await store.runs.findPlan(run.planDigest)
  if (plan === undefined) return false
  if (!hasStep(plan, step)) return true
  const newest = await findNewest(store, run, step)
  if (newest === undefined || !isEndedStep(newest.status)) return false
  return !mayComeAgain(
    plan.steps.find((candidate) => candidate.id === step),
    newest,
  )
}

/** A step that a runner started has a log, even if not a byte of it has come yet. */
export async function owesFirstLog(store: Store, { run, step, part }: StepPart): Promise<boolean> {
  if (part === 'undo' || run.planDigest === undefined) return false
  const plan = await store.runs.findPlan(run.planDigest)
  const planned = plan?.steps.find((candidate) => candidate.id === step)
  if (planned !== undefined && !isRunnerStep(planned)) return false
  return (await findNewest(store, run, step))?.startedAt !== undefined
}

async function findNewest(store: Store, run: Run, step: string): Promise<StepRow | undefined> {
  return (await store.runs.steps(run.id)).filter((row) => row.step === step).at(-1)
}

export function hasStep(plan: Plan, step: string): boolean {
  return [...plan.steps, ...plan.finally].some((candidate) => candidate.id === step)
}

function isUndoOver(run: Run, step: string): boolean {
  const status = run.undo.find((item) => item.step === step)?.status
  return status === 'done' || status === 'failed' || status === 'skipped' || status === 'discharged'
}

function mayComeAgain(step: PlanStep | undefined, { attempt, status, exitCode }: StepRow): boolean {
  if (step === undefined || !isRunnerStep(step)) return false
  const { max, on, exitCodes } = step.retry
  if (attempt > max || !(on as string[]).includes(status)) return false
  return status !== 'failed' || exitCodes.length === 0 || (exitCode !== undefined && exitCodes.includes(exitCode))
}
