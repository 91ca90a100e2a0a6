/** What the failure of an activity means. Decided by types and classes, never by the text of a message. */
import { ActivityFailure, ApplicationFailure, TemporalFailure, TimeoutFailure, isCancellation } from '@temporalio/workflow'
import { BelayError } from '../domain/errors.ts'
import type { Outcome } from '../domain/step.ts'
import { failureTypes, type RunnerRestartedDetails } from '../contract/failures.ts'

export type SegmentFailure =
  | { type: 'cancelled' }
  /** The runner came back and says how far it got. */
  | { type: 'restarted'; details: RunnerRestartedDetails }
  /** Nobody is heard of: killed, hung or cut off. With the outcomes that it told of before. */
  | { type: 'silent'; outcomes: Outcome[] }
  /** Nobody took it in time. */
  | { type: 'not_started' }
  | { type: 'stale' }
  | { type: 'gone' }
  | { type: 'broken'; reason: string }

export function classifySegmentFailure(error: unknown): SegmentFailure {
  if (isCancellation(error)) return { type: 'cancelled' }
  const cause = error instanceof ActivityFailure ? error.cause : error
  if (cause instanceof TimeoutFailure) {
    if (cause.timeoutType === 'SCHEDULE_TO_START') return { type: 'not_started' }
    return { type: 'silent', outcomes: (cause.lastHeartbeatDetails as { outcomes?: Outcome[] } | undefined)?.outcomes ?? [] }
  }
  if (cause instanceof ApplicationFailure) {
    switch (cause.type) {
      case failureTypes.runnerRestarted:
        return { type: 'restarted', details: readRestart(cause) }
      case failureTypes.staleEpoch:
        return { type: 'stale' }
      case failureTypes.workspaceGone:
        return { type: 'gone' }
      // The worker was shut down before the activity could answer: the same as silence, only sooner.
      case 'WorkerShutdown':
        return { type: 'silent', outcomes: [] }
      default:
        break
    }
  }
  return { type: 'broken', reason: reasonOf(error) }
}

function readRestart(failure: ApplicationFailure): RunnerRestartedDetails {
  const details = failure.details?.[0] as RunnerRestartedDetails | undefined
  return details ?? { outcomes: [], interrupted: [] }
}

/** The innermost message: what really went wrong, without the wrapping. */
export function reasonOf(error: unknown): string {
  if (error instanceof TemporalFailure && error.cause !== undefined) return reasonOf(error.cause)
  return error instanceof Error ? error.message : String(error)
}

/** Was the activity cut off only at the end of the time that it had? Waiting for a worker is not in that. */
export function usedItsTime(error: unknown): boolean {
  const cause = error instanceof ActivityFailure ? error.cause : error
  return cause instanceof TimeoutFailure && cause.timeoutType === 'START_TO_CLOSE'
}

/** Did the other side understand and say no? Everything else counts as "could not be reached". */
export function saidNo(error: unknown): boolean {
  if (error instanceof BelayError) return !error.retryable
  const cause = error instanceof ActivityFailure ? error.cause : error
  return cause instanceof ApplicationFailure && cause.nonRetryable === true
}
