/** One segment as one activity: lease, slot, journal, steps. */
import type { SegmentInput, SegmentResult } from '../contract/activities.ts'
import { advance } from '../domain/advance.ts'
import { BelayError, messageOf } from '../domain/errors.ts'
import { mergeOutcomes } from '../domain/outcome.ts'
import type { Plan, RunnerStep, Segment } from '../domain/plan.ts'
import { StepChange } from '../domain/run-event.ts'
import type { Outcome } from '../domain/step.ts'
import type { Journal, JournalRecord } from './journal.ts'
import { runAttempt, type AttemptInput } from './run-attempt.ts'
import { runSteps } from './run-steps.ts'
import type { RunnerDeps, Task } from './runner-deps.ts'
import { lifetimeOf } from './token-lifetime.ts'
import { stopReasonOf } from './stop.ts'
import { doWork, type WorkPlace } from './work.ts'

/** Throws `stale`, `not_found` (no such workspace). Stopped: returns what there is, nothing of it running any more. */
export async function runSegment(deps: RunnerDeps, input: SegmentInput, task: Task): Promise<SegmentResult> {
  const { workspace } = input
  return await doWork(deps, { workspace, work: 'segment', name: `segment/${String(input.segment)}` }, task, async (place) => {
    const inherited: Outcome[] = []
    const stoppedEarly = () => ({ outcomes: inherited, ended: returnable(place.signal) })
    if (place.signal.aborted) return stoppedEarly()
    const plan = await loadPlan(deps, input, place.signal)
    if (plan === undefined) return stoppedEarly()
    const segment = findSegment(plan, input.segment)
    inherited.push(...inheritOutcomes(deps, input, { segment, made: place.dirs.made }))

    const run = createSegmentRun({ deps, input, plan, segment, place })
    const known = mergeOutcomes(input.outcomes, inherited)
    const interrupted = findInterrupted(deps, input, { plan, known, made: place.dirs.made })
    if (interrupted.length > 0) return { outcomes: inherited, ended: 'complete', interrupted }
    const told = inherited.map(withoutTail)
    const result = await runSteps({
      runId: workspace.runId,
      plan,
      segment,
      epoch: workspace.epoch,
      known,
      interruptions: input.interruptions,
      signal: place.signal,
      stops: deps.stops,
      runAttempt: run.attempt,
      record(outcome) {
        try {
          place.journal.outcome(outcome)
        } catch (error) {
          deps.log.error({ step: outcome.step, error: messageOf(error) }, 'an outcome could not be written down')
          throw error
        } finally {
          run.tell(outcome)
          told.push(withoutTail(outcome))
          task.progress({ outcomes: told })
        }
      },
    })
    const outcomes = [...inherited, ...result.outcomes]
    return { outcomes, ended: result.ended === 'complete' ? 'complete' : returnable(place.signal) }
  })
}

/** Heartbeats say what is done, not what it printed. */
function withoutTail(outcome: Outcome): Outcome {
  const told = { ...outcome }
  delete told.tail
  return told
}

/** What an ended segment may say; a lost one has nobody to say it to. */
function returnable(signal: AbortSignal): 'cancelled' | 'drained' {
  const reason = stopReasonOf(signal)
  if (reason === 'cancelled' || reason === 'drained') return reason
  throw new BelayError({ code: 'stale', message: 'the workspace was given out again, or the activity timed out' })
}

async function loadPlan(deps: RunnerDeps, input: SegmentInput, signal: AbortSignal): Promise<Plan | undefined> {
  try {
    return await deps.plans.load(input.planDigest, signal)
  } catch (error) {
    if (signal.aborted) return undefined
    throw error
  }
}

function findSegment(plan: Plan, id: number): Segment {
  const segment = plan.segments.find((candidate) => candidate.id === id)
  if (segment === undefined) throw new BelayError({ code: 'internal', message: `the plan has no segment ${String(id)}` })
  return segment
}

/** Outcomes in this runner's journals, of this very directory, that the workflow has not heard of: they are not done again. */
function inheritOutcomes(
  deps: RunnerDeps,
  input: SegmentInput,
  { segment, made }: { segment: Segment; made: number },
): Outcome[] {
  const found = segmentJournals(deps, input, made).flatMap(({ outcomes }) => outcomes)
  const mine = found.filter((outcome) => segment.steps.includes(outcome.step))
  return mergeOutcomes(input.outcomes, mine).slice(input.outcomes.length)
}

/** Of the steps in doubt those whose next attempt has been begun already, in this very directory. */
function findInterrupted(
  deps: RunnerDeps,
  input: SegmentInput,
  { plan, known, made }: { plan: Plan; known: readonly Outcome[]; made: number },
): string[] {
  const { inDoubt = [] } = input
  if (inDoubt.length === 0) return []
  const begun = segmentJournals(deps, input, made).flatMap(({ running }) => running)
  return advance(plan, known, Date.now()).ready.flatMap(({ step, attempt }) => {
    const hasBegun = begun.some((one) => one.step === step && one.attempt === attempt)
    return hasBegun && inDoubt.includes(step) ? step : []
  })
}

function segmentJournals(deps: RunnerDeps, { workspace }: SegmentInput, made: number): JournalRecord[] {
  return deps.journals.list(workspace.runId).filter(({ begun }) => begun.work === 'segment' && begun.epoch >= made)
}

interface SegmentRunInput {
  deps: RunnerDeps
  input: SegmentInput
  plan: Plan
  segment: Segment
  place: WorkPlace & { journal: Journal }
}

function createSegmentRun({ deps, input, plan, segment, place }: SegmentRunInput) {
  const { workspace, planDigest, run } = input
  const session = deps.createSession({
    runId: workspace.runId,
    epoch: workspace.epoch,
    planDigest,
    steps: segment.steps,
    lifetimeMs: lifetimeOf(plan, segment),
  })
  return {
    tell: (outcome: Outcome) => deps.news.tell(StepChange.parse(outcome), session),
    async attempt(step: RunnerStep, attempt: number, succeeded: () => string[]): Promise<Outcome | undefined> {
      const common: Omit<AttemptInput, 'does'> = {
        run,
        pipeline: plan.pipeline,
        planDigest,
        epoch: workspace.epoch,
        step: step.id,
        attempt,
        part: 'step',
        env: step.env,
        timeoutMs: step.timeoutMs,
        artifacts: step.artifacts,
        dirs: place.dirs,
        session,
        journal: place.journal,
        signal: place.signal,
        confirm: place.confirm,
        running: (change) => deps.news.tell(change, session),
      }
      const does = step.kind === 'commands' ? { commands: step.commands } : { buildImage: step.buildImage }
      const isKept = step.kind === 'commands' && step.checkpoint === true
      const checkpoint = isKept ? { checkpoint: () => [...new Set([...succeeded(), step.id])] } : {}
      if (!(await deps.quiet.enter(workspace.runId, place.signal))) return undefined
      try {
        return await runAttempt(deps, { ...common, does, ...checkpoint })
      } finally {
        deps.quiet.leave(workspace.runId)
      }
    },
  }
}
