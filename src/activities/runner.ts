/** How workflows reach a runner: heartbeats, cancellation and failures as Temporal wants them; the work is the runner's. */
import { Context } from '@temporalio/activity'
import { ApplicationFailure, CancelledFailure } from '@temporalio/common'
import type { RunnerActivities } from '../contract/activities.ts'
import { failureTypes, toApplicationFailure, type RunnerRestartedDetails } from '../contract/failures.ts'
import { BelayError } from '../domain/errors.ts'
import { faultPoint } from '../process/fault-point.ts'
import type { Runner } from '../runner/create-runner.ts'
import { CutShort } from '../runner/cut-short.ts'
import type { Task } from '../runner/runner-deps.ts'
import { pause, stopReasonOf, stopWith, type StopReason } from '../runner/stop.ts'

export interface RunnerActivityDeps {
  runner: Pick<Runner, 'openWorkspace' | 'runSegment' | 'runScript' | 'closeWorkspace'>
  /** Tells Temporal of an activity that it goes on; `gone`: it is not ours any more. Rejects if there is no answer. */
  heartbeat(token: Uint8Array, details: unknown): Promise<'ours' | 'gone'>
}

export function createRunnerActivities({ runner, heartbeat }: RunnerActivityDeps): RunnerActivities {
  const carryOut = <T>(name: string, work: (task: Task) => Promise<T>) => carryOutWith(heartbeat, name, work)
  return {
    openWorkspace: async (input) =>
      await carryOut('openWorkspace', async (task) => await orCancelled(task, runner.openWorkspace(input, task))),
    runSegment: async (input) => await carryOut('runSegment', async (task) => await runner.runSegment(input, task)),
    async runScript(input) {
      return await carryOut(input.script.type, async (task) => {
        const outcome = await orCancelled(task, runner.runScript(input, task))
        if (outcome !== undefined) return outcome
        throwIfCancelled(task)
        const { script } = input
        throw restarted([script.type === 'undo' ? script.step : script.step.id])
      })
    },
    closeWorkspace: async ({ runId, keep }) =>
      await carryOut('closeWorkspace', async () => await runner.closeWorkspace(runId, keep)),
  }
}

const heartbeatMs = 1_000
/** It takes Temporal longer than that to give a silent one's work to another. */
const trustMs = 2_000
const askAgainMs = 250

/** Heartbeats while the work goes on, and hands its cancellation and its errors over. */
async function carryOutWith<T>(
  heartbeat: RunnerActivityDeps['heartbeat'],
  name: string,
  work: (task: Task) => Promise<T>,
): Promise<T> {
  const context = Context.current()
  let details: unknown
  const answered = new AbortController()
  // By Temporal's clock; should ours differ, it is asked once more than needed.
  let heardAt = context.info.currentAttemptScheduledTimestampMs

  async function confirm(signal: AbortSignal): Promise<boolean> {
    for (;;) {
      const silentMs = Date.now() - heardAt
      if (silentMs >= -trustMs && silentMs <= trustMs) return true
      const askedAt = Date.now()
      // No answer: it is asked again.
      const answer = await heartbeat(context.info.taskToken, details).catch(() => undefined)
      if (answer === 'gone') return false
      if (answer === 'ours') heardAt = askedAt
      else if (!(await pause(askAgainMs, signal))) return false
    }
  }

  const timer = setInterval(() => context.heartbeat(details), heartbeatMs)
  try {
    faultPoint(`activity.${name}.before`)
    const working = work({
      token: context.info.base64TaskToken,
      signal: AbortSignal.any([stopSignalOf(context), answered.signal]),
      progress: (next) => (details = next),
      confirm,
    })
    try {
      faultPoint(`activity.${name}.during`)
    } catch (error) {
      // Nobody waits for it any more.
      stopWith(answered, 'lost')
      await Promise.allSettled([working])
      throw error
    }
    const result = await working
    faultPoint(`activity.${name}.after`)
    return result
  } catch (error) {
    throw toFailure(error)
  } finally {
    clearInterval(timer)
  }
}

/** Temporal says why it stops an activity; only a request to cancel is an end. */
function stopSignalOf(context: Context): AbortSignal {
  const controller = new AbortController()
  const stop = () => stopWith(controller, reasonOf(context))
  if (context.cancellationSignal.aborted) stop()
  else context.cancellationSignal.addEventListener('abort', stop, { once: true })
  return controller.signal
}

function reasonOf(context: Context): StopReason {
  if (context.cancellationDetails?.cancelRequested === true) return 'cancelled'
  return context.cancellationDetails?.workerShutdown === true ? 'drained' : 'lost'
}

/** For work without a result of its own for "cancelled": a cancellation must stay one. */
async function orCancelled<T>(task: Task, work: Promise<T>): Promise<T> {
  try {
    return await work
  } catch (error) {
    throwIfCancelled(task)
    throw error
  }
}

function throwIfCancelled(task: Task): void {
  if (stopReasonOf(task.signal) === 'cancelled') throw new CancelledFailure('cancelled')
}

/** What the workflow is told of an activity that this runner cut short, in this life or an earlier one. */
export function restarted(interrupted: string[], outcomes: RunnerRestartedDetails['outcomes'] = []): ApplicationFailure {
  const details: RunnerRestartedDetails = { outcomes, interrupted }
  return ApplicationFailure.create({
    type: failureTypes.runnerRestarted,
    message: 'the runner was restarted',
    nonRetryable: false,
    details: [details],
  })
}

function toFailure(error: unknown): Error {
  if (error instanceof CancelledFailure) return error
  if (error instanceof CutShort) return restarted(error.interrupted, error.outcomes)
  if (!(error instanceof BelayError)) return toApplicationFailure(error)
  const { message } = error
  if (error.code === 'stale') return ApplicationFailure.create({ type: failureTypes.staleEpoch, message, nonRetryable: true })
  if (error.code === 'not_found')
    return ApplicationFailure.create({ type: failureTypes.workspaceGone, message, nonRetryable: true })
  return toApplicationFailure(error)
}
