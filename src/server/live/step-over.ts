import { isRunnerStep, type Plan, type PlanStep } from '../../domain/plan.ts'
import { stepsToDoAgain } from '../../domain/resume-run.ts'
import type { StoredRunEvent } from '../../domain/run-event.ts'
import { isEndedRun } from '../../domain/run.ts'
import { isEndedStep, type Outcome } from '../../domain/step.ts'
import type { Run, StepRow, Store } from '../../store/store.ts'

export interface StepPart {
  run: Run
  step: string
  part: 'step' | 'undo'
}

/** Will this part of the step print nothing more? What it has printed may still be on its way. */
export async function isStepOver(store: Store, { run, step, part }: StepPart): Promise<boolean> {
  if (isEndedRun(run.status)) return true
  if (part === 'undo' && !isUndoOver(run, step)) return false
  const plan = run.planDigest === undefined ? undefined : await store.runs.findPlan(run.planDigest)
  if (plan === undefined) return false
  if (!hasStep(plan, step)) return true
  const rows = await store.runs.steps(run.id)
  if (part === 'undo') return !(await findRound(store, run, { plan, rows }))?.mayStillBe(part, step)
  const newest = rows.findLast((row) => row.step === step)
  if (newest === undefined || !isEndedStep(newest.status)) return false
  const round = await findRound(store, run, { plan, rows })
  if (round?.mayStillBe(part, step) === true) return false
  const planned = plan.steps.find((candidate) => candidate.id === step)
  return !mayComeAgain(planned, { ...newest, attempt: newest.attempt - (round?.attemptsBefore(step) ?? 0) })
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

interface Round {
  /** Nothing was told of it since the run goes on, and something will be. */
  mayStillBe(part: StepPart['part'], step: string): boolean
  /** Those before do not count. */
  attemptsBefore(step: string): number
}

/** What a run does that goes on after an end; undefined: it is in its first round, where all that is told is of that. */
async function findRound(store: Store, run: Run, { plan, rows }: { plan: Plan; rows: StepRow[] }): Promise<Round | undefined> {
  const resume = await store.runs.findResume(run)
  if (resume === undefined) return undefined
  const changes = new Map<string, Set<number>>()
  const undone = new Set<string>()
  for await (const { body } of eventsAfter(store, run.id, resume.seq)) {
    if (body.type === 'undo') undone.add(body.item.step)
    if (body.type === 'step') changes.set(body.change.step, (changes.get(body.change.step) ?? new Set()).add(body.change.attempt))
  }
  // What was told since is done again, and with it what needs it.
  const before = rows.filter((row) => !changes.has(row.step)).map(outcomeOf)
  const again = stepsToDoAgain({ plan, outcomes: before, undo: run.undo, from: resume.from })
  for (const { id } of plan.finally) again.add(id)
  return {
    mayStillBe: (part, step) => again.has(step) && !(part === 'undo' ? undone : changes).has(step),
    attemptsBefore: (step) => rows.filter((row) => row.step === step && changes.get(step)?.has(row.attempt) !== true).length,
  }
}

async function* eventsAfter(store: Store, runId: string, seq: number): AsyncGenerator<StoredRunEvent> {
  for (let after = seq; ;) {
    const events = await store.runs.events(runId, { after, limit: 1000 })
    const last = events.at(-1)
    if (last === undefined) return
    yield* events
    after = last.seq
  }
}

/** One that never came to an end was cut. */
function outcomeOf({ runId: _runId, tail: _tail, status, endedAt = 0, ...row }: StepRow): Outcome {
  return { ...row, endedAt, status: isEndedStep(status) ? status : 'errored' }
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
