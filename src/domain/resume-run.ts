import { BelayError } from './errors.ts'
import { latestOutcomes } from './outcome.ts'
import { isEndedRun, type RunStatus } from './run.ts'
import type { UndoItem } from './run-event.ts'
import type { Plan, PlanStep } from './plan.ts'
import type { Checkpoint, Outcome } from './step.ts'

/** How a run stands that somebody wants to go on with. */
export interface Resumable {
  number: number
  status: RunStatus
}

/** Throws `conflict` unless the run has ended in a way that can be made good. */
export function mustBeResumable({ number, status }: Resumable): void {
  if (isEndedRun(status) && status !== 'succeeded' && status !== 'skipped') return
  const how = status === 'succeeded' ? 'has succeeded' : status === 'skipped' ? 'was skipped' : `is ${status}`
  const hint = isEndedRun(status)
    ? '`belay run` starts a new one.'
    : status === 'rollback_blocked'
      ? `\`belay retry ${String(number)}\` without --from tries its undo again, \`belay skip ${String(number)} --reason TEXT\` gives it up.`
      : `\`belay cancel ${String(number)}\` stops it; then it can be retried.`
  throw new BelayError({ code: 'conflict', message: `run ${String(number)} ${how}: there is nothing to go on with`, hint })
}

/** What a run left and is not there any more when it goes on. */
export interface Gone {
  /** Digests of artifacts and checkpoints. */
  blobs: ReadonlySet<string>
  /** Ids of releases that cannot be deployed any more: neither can the image that went into them. */
  releases: ReadonlySet<string>
}

export interface ResumeInput {
  plan: Plan
  /** Of all attempts so far. */
  outcomes: readonly Outcome[]
  /** What was taken back, among others. */
  undo: readonly UndoItem[]
  /** This step is done again in any case, and all that follow from it. */
  from?: string | undefined
  gone: Gone
  /** Higher than any under which work was done. */
  epoch: number
  now: number
}

/**
 * With what a run goes on: outcomes of steps that stay done as they are, and for each step that is done again one that makes
 * its next attempt ready. Done again is what did not succeed, what was taken back, `from`, what left something that is gone, and
 * whatever needs one of those. One checkpoint is left: the newest that is there, and has nothing in it that is done again.
 */
export function resumeOutcomes(input: ResumeInput): Outcome[] {
  const { again, checkpoint } = decideAgain(input)
  // What its attempts left was taken back, or is made anew; none of them counts in its `retry`.
  const outcomes = input.outcomes.map((outcome) =>
    again.has(outcome.step) ? spent(outcome) : withoutOtherCheckpoint(outcome, checkpoint),
  )
  for (const [id, last] of latestOutcomes(input.outcomes)) {
    if (again.has(id)) outcomes.push(onceMore(last, input))
  }
  return outcomes
}

/** What lies under a checkpoint that is gone is done again, but for what the one has that is laid in its place. */
function decideAgain(input: ResumeInput): { again: Set<string>; checkpoint?: Checkpoint } {
  const { plan, gone } = input
  const latest = latestOutcomes(input.outcomes)
  const checkpoints = [...latest.values()]
    .filter(({ status }) => status === 'succeeded')
    .toSorted((a, b) => b.endedAt - a.endedAt)
    .flatMap(({ result }) => result?.checkpoint ?? [])
  const isThere = ({ digest }: Checkpoint) => !gone.blobs.has(digest)
  const under = checkpoints.filter((checkpoint) => !isThere(checkpoint)).flatMap(({ steps }) => steps)
  const lost = findLost(plan, latest, gone)
  const againWith = (laid?: Checkpoint) => {
    const missing = under.filter((id) => laid?.steps.includes(id) !== true && liesInWorkspace(plan, id))
    return stepsToDoAgain({ ...input, lost: new Set([...lost, ...missing]) })
  }
  const checkpoint = checkpoints.filter(isThere).find((one) => {
    const again = againWith(one)
    return one.steps.every((id) => !again.has(id))
  })
  return { again: againWith(checkpoint), ...(checkpoint === undefined ? {} : { checkpoint }) }
}

/** Images, releases and deployments are elsewhere, and what a step with an undo did is still to be taken back. */
function liesInWorkspace({ steps }: Plan, id: string): boolean {
  return steps.some((step) => step.id === id && step.kind === 'commands' && step.undo === undefined)
}

/** Steps of which an artifact or the release is gone; with a release go the images that it was made of. */
function findLost(plan: Plan, latest: ReadonlyMap<string, Outcome>, gone: Gone): string[] {
  return [...latest].flatMap(([id, { result }]) => {
    const artifacts = result?.artifacts?.some(({ digest }) => gone.blobs.has(digest)) === true ? [id] : []
    if (result?.release === undefined || !gone.releases.has(result.release.id)) return artifacts
    const step = plan.steps.find((one) => one.id === id)
    const from = step?.kind === 'release' ? step.release.from : []
    return [...artifacts, id, ...from.filter((source) => latest.get(source)?.result?.image !== undefined)]
  })
}

export interface AgainInput extends Pick<ResumeInput, 'plan' | 'outcomes' | 'undo' | 'from'> {
  /** What these left is not there any more. */
  lost?: ReadonlySet<string>
}

/** Ids of the steps that are done again; those that were never to run, and what needs them, are not. */
export function stepsToDoAgain({ plan, outcomes, undo, from, lost }: AgainInput): Set<string> {
  if (from !== undefined && !plan.steps.some(({ id }) => id === from)) {
    throw new BelayError({
      code: 'not_found',
      message: `the plan has no step ${JSON.stringify(from)}`,
      hint: `Its steps: ${plan.steps.map(({ id }) => id).join(', ')}.`,
    })
  }
  const latest = latestOutcomes(outcomes)
  const leftOut = closure(plan, ({ skip }) => skip !== undefined)
  const takenBack = new Set(undo.filter(({ status }) => !['owed', 'discharged'].includes(status)).map(({ step }) => step))
  const isAgain = ({ id }: PlanStep) =>
    latest.get(id)?.status !== 'succeeded' || takenBack.has(id) || id === from || lost?.has(id) === true
  return closure(plan, isAgain, leftOut)
}

/** The steps that `isOne` names and all that need one of them, but for `but`. */
function closure(plan: Plan, isOne: (step: PlanStep) => boolean, but: ReadonlySet<string> = new Set()): Set<string> {
  const found = new Set<string>()
  // Written order need not be dependency order, so go round until nothing changes.
  for (let before = -1; before !== found.size;) {
    before = found.size
    for (const step of plan.steps) {
      if (but.has(step.id)) continue
      if (isOne(step) || step.needs.some((need) => found.has(need))) found.add(step.id)
    }
  }
  return found
}

function spent({ result: _result, ...outcome }: Outcome): Outcome {
  return { ...outcome, lost: true }
}

function withoutOtherCheckpoint(outcome: Outcome, laid: Checkpoint | undefined): Outcome {
  const { checkpoint, ...result } = outcome.result ?? {}
  return checkpoint === undefined || checkpoint === laid ? outcome : { ...outcome, result }
}

/** The attempt counts for nothing any more, and so does what it left. */
function onceMore({ step, attempt, startedAt }: Outcome, { epoch, now }: ResumeInput): Outcome {
  const begun = startedAt === undefined ? {} : { startedAt }
  return { step, attempt, epoch, ...begun, status: 'errored', endedAt: now, retryAt: now, reason: 'is done again', lost: true }
}
