import type { DeployRequest, EnvironmentState, RollbackRequest } from '../domain/environment.ts'
import { defineQuery, defineSignal, defineUpdate } from './messages.ts'

/** Argument of the workflow `environment`; `state` only by continue-as-new. */
export interface EnvironmentInput {
  name: string
  state?: EnvironmentState
}

/** What a run tells an environment; carried by signal-with-start. */
export type EnvironmentMessage =
  | { type: 'deploy'; request: DeployRequest }
  /** The run was cancelled: forget it if queued, take it back if under way or provisional. */
  | { type: 'withdraw'; requestId: string; runId: string; after?: number }
  /** The run settled: what this request deployed is kept. */
  | { type: 'keep'; requestId: string; runId: string }
  /** The run failed: take back what this request deployed. `after`: once more, it failed with the answer of that time. */
  | { type: 'undo'; requestId: string; runId: string; after?: number }

export const environmentSignal = defineSignal<[EnvironmentMessage]>('message')

/** A person's rollback, or with `release` deployment: answers once it is queued; what became of it is read from the history. */
export const rollbackUpdate = defineUpdate<{ requestId: string; release: number; digest: string }, [RollbackRequest]>('rollback')

export const environmentStateQuery = defineQuery<EnvironmentState>('state')
