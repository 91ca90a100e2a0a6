/** The steps of one segment, started as `advance` says, until nothing of the segment can go on here. */
import { advance, type Advance } from '../domain/advance.ts'
import { messageOf } from '../domain/errors.ts'
import { countLost, isFinal, latestOutcomes, settleOutcome } from '../domain/outcome.ts'
import { isRunnerStep, loadStep, type Plan, type RunnerStep, type Segment } from '../domain/plan.ts'
import type { Outcome } from '../domain/step.ts'
import { hasCode } from './retry.ts'
import type { RunStops } from './run-stops.ts'
import { pause, stopReasonOf, type StopReason } from './stop.ts'

/** After so many interruptions a step is not tried again: it may be what kills the runner. */
const mostInterruptions = 5

export interface RunStepsInput {
  runId: string
  plan: Plan
  segment: Segment
  epoch: number
  /** All outcomes of the run so far. */
  known: readonly Outcome[]
  /** How often each step was interrupted so far. */
  interruptions: Readonly<Record<string, number>>
  signal: AbortSignal
  stops: RunStops
  /** One attempt (`succeeded`: the steps that have, by then); undefined if it was stopped before it had an outcome. It heeds `signal` itself. */
  runAttempt(step: RunnerStep, attempt: number, succeeded: () => string[]): Promise<Outcome | undefined>
  /** Puts an outcome on disk; no further step starts before it returns. */
  record(outcome: Outcome): void
}

export interface RunStepsResult {
  /** New outcomes, in the order in which they ended. */
  outcomes: Outcome[]
  ended: 'complete' | StopReason
}

/**
 * A step that breaks (a disk that is full, not its own failure) is errored, and what had finished is returned with it; where an
 * outcome could not be put on disk it stays what it was, and no further step starts. Throws `stale` if an attempt does, once
 * everything that ran has ended.
 */
export async function runSteps(input: RunStepsInput): Promise<RunStepsResult> {
  const { plan, segment, signal, stops, runId } = input
  const all = [...input.known]
  const outcomes: Outcome[] = []
  const running = new Map<string, Promise<void>>()
  const tried = new Set<string>()
  const stale: unknown[] = []
  let isRecorded = true

  const add = (outcome: Outcome) => {
    all.push(outcome)
    outcomes.push(outcome)
    if (isFinal(outcome) && outcome.status !== 'succeeded' && outcome.status !== 'skipped') stops.stop(runId)
  }
  const keep = (outcome: Outcome) => {
    try {
      input.record(outcome)
    } catch {
      // Whoever records says so; the outcome is as true as before.
      isRecorded = false
    }
    add(outcome)
  }
  const start = (id: string, attempt: number) => {
    const step = loadRunnerStep(plan, id)
    const succeeded = () => [...latestOutcomes(all).values()].flatMap((last) => (last.status === 'succeeded' ? last.step : []))
    const work = tryStep(input, step, { attempt, succeeded })
      .then((outcome) => {
        if (outcome !== undefined) keep(outcome)
      })
      .catch((error: unknown) => stale.push(error))
      .then(() => void running.delete(id))
    running.set(id, work)
  }

  for (;;) {
    const now = Date.now()
    const next = advance(plan, all, now)
    const skipped = next.skipped.filter((outcome) => segment.steps.includes(outcome.step))
    for (const outcome of skipped) add(outcome)
    const mayStart = !signal.aborted && !stops.isStopped(runId) && stale.length === 0 && isRecorded
    if (mayStart) {
      for (const { step, attempt } of startable(next, segment, running)) {
        const key = `${step}/${String(attempt)}`
        // An attempt that was stopped without an outcome is not begun again here.
        if (!tried.has(key)) start(step, attempt)
        tried.add(key)
      }
    }
    const retryAt = mayStart && !next.stopped ? nextRetry(segment, all, now) : undefined
    if (running.size === 0 && retryAt === undefined) break
    await waitForChange(input, running, retryAt === undefined ? undefined : retryAt - now)
  }
  if (stale.length > 0) throw stale[0]
  return { outcomes, ended: endOf(input, all) }
}

function startable(next: Advance, segment: Segment, running: ReadonlyMap<string, unknown>): Advance['ready'] {
  return next.ready.filter(({ step }) => segment.steps.includes(step) && !running.has(step))
}

function loadRunnerStep(plan: Plan, id: string): RunnerStep {
  const step = loadStep(plan, id)
  if (isRunnerStep(step)) return step
  throw new RangeError(`step "${id}" is not for a runner`)
}

/** An attempt's outcome, with what its retry policy makes of it. */
async function tryStep(
  input: RunStepsInput,
  step: RunnerStep,
  { attempt, succeeded }: { attempt: number; succeeded: () => string[] },
): Promise<Outcome | undefined> {
  const errored = (reason: string): Outcome => ({
    ...{ step: step.id, attempt, epoch: input.epoch, status: 'errored', endedAt: Date.now(), reason },
  })
  const times = input.interruptions[step.id] ?? 0
  if (times >= mostInterruptions) return errored(`runner lost: the step was interrupted ${String(times)} times`)
  const outcome = await input.runAttempt(step, attempt, succeeded).catch((error: unknown) => {
    if (hasCode(error, 'stale')) throw error
    // Stopped, it has to run again, whatever broke on the way out.
    return input.signal.aborted ? undefined : errored(`the runner could not carry the step out: ${messageOf(error)}`)
  })
  return outcome === undefined ? undefined : settleOutcome(step, outcome, countLost(input.known, step.id))
}

/** When the next of the segment's own retries is due. */
function nextRetry(segment: Segment, outcomes: readonly Outcome[], now: number): number | undefined {
  const latest = latestOutcomes(outcomes)
  const due = segment.steps.flatMap((id) => latest.get(id)?.retryAt ?? []).filter((at) => at > now)
  return due.length === 0 ? undefined : Math.min(...due)
}

/** Until a step ends, a retry is due, or the rest is called off. */
async function waitForChange(
  input: RunStepsInput,
  running: ReadonlyMap<string, Promise<void>>,
  retryInMs: number | undefined,
): Promise<void> {
  const woken = new AbortController()
  const forget = input.stops.onStop(input.runId, () => woken.abort())
  const timers = retryInMs === undefined ? [] : [pause(retryInMs, AbortSignal.any([woken.signal, input.signal]))]
  await Promise.race([...running.values(), ...timers])
  forget()
  woken.abort()
}

function endOf(input: RunStepsInput, outcomes: readonly Outcome[]): RunStepsResult['ended'] {
  const reason = stopReasonOf(input.signal)
  if (reason === undefined) return 'complete'
  const latest = latestOutcomes(outcomes)
  const isDone = (id: string) => latest.get(id)?.status === 'succeeded' || latest.get(id)?.status === 'skipped'
  return input.segment.steps.every(isDone) ? 'complete' : reason
}
