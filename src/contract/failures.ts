/**
 * The one bridge from our errors to Temporal's failures: only an ApplicationFailure may leave an activity, and its
 * `type` is a `BelayError` code or one of these.
 */
import { ApplicationFailure } from '@temporalio/common'
import { BelayError, messageOf } from '../domain/errors.ts'
import type { Outcome } from '../domain/step.ts'

export const failureTypes = {
  /** The runner died and came back: the segment's outcomes so far, and what was interrupted, are in `details[0]`. */
  runnerRestarted: 'RunnerRestarted',
  /** The workspace was given out again under a higher epoch. */
  staleEpoch: 'StaleEpoch',
  /** The runner has no such workspace (any more). */
  workspaceGone: 'WorkspaceGone',
} as const

export interface RunnerRestartedDetails {
  outcomes: Outcome[]
  /** Steps whose `started` line has no outcome: they were running. */
  interrupted: string[]
}

/** What an activity throws: retryable only if the error says so; the hint travels in the details. */
export function toApplicationFailure(error: unknown): ApplicationFailure {
  if (error instanceof ApplicationFailure) return error
  const belay = error instanceof BelayError ? error : undefined
  return ApplicationFailure.create({
    message: messageOf(error),
    type: belay?.code ?? 'internal',
    nonRetryable: belay !== undefined && !belay.retryable,
    details: belay?.hint === undefined ? [] : [{ hint: belay.hint }],
    ...(error instanceof Error ? { cause: error } : {}),
  })
}
