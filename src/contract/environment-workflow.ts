import type { DeployRequest, EnvironmentState, RollbackRequest } from '../domain/environment.ts'
import type { BlockedRelease, Freeze } from '../domain/freeze.ts'
import type { ReleaseRef } from '../domain/release.ts'
import type { Actor } from '../domain/trigger.ts'
import { defineQuery, defineSignal, defineUpdate } from './messages.ts'

/** Argument of the workflow `environment`; `state` only by continue-as-new. */
export interface EnvironmentInput {
  name: string
  state?: EnvironmentState
  /** What came while the one before made ready to continue as this one, in its order. */
  messages?: EnvironmentMessage[]
}

/** What a run tells an environment; carried by signal-with-start. */
export type EnvironmentMessage =
  | { type: 'deploy'; request: DeployRequest }
  /** The run was cancelled: forget it if queued, take it back if under way or provisional. */
  | { type: 'withdraw'; requestId: string; runId: string; after?: number }
  /** The run settled: what this request deployed is kept. */
  | { type: 'keep'; requestId: string; runId: string }
  /**
   * The run failed: take back what this request deployed. `after`: once more, it failed with the answer of that time. `kept`: the run
   * said `keep`, and could not settle all the same.
   */
  | { type: 'undo'; requestId: string; runId: string; after?: number; kept?: boolean }

export const environmentSignal = defineSignal<[EnvironmentMessage]>('message')

export interface PersonAccepted {
  requestId: string
  release: number
  digest: string
}

/** As `personUpdate`, but answered before it is in the store: what a server of an earlier version sends. */
export const rollbackUpdate = defineUpdate<PersonAccepted, [RollbackRequest]>('rollback')

/**
 * A person's rollback, or with `release` deployment: answers once it is queued and in the store, so that a workflow that is
 * terminated then does not lose it; what became of it is read from the history. So do the two below.
 */
export const personUpdate = defineUpdate<PersonAccepted, [RollbackRequest]>('person')

/** The same id again is the same one. `unfreeze` without `freezeId`: the only window there is. */
export type FreezeChange =
  | { type: 'freeze'; id: string; environment: string; freeze: Freeze }
  | { type: 'unfreeze'; id: string; environment: string; freezeId?: string; actor: Actor }

export interface FreezeChanged {
  /** What was added or taken away. */
  freeze: Freeze
  /** The deployment that is under way goes on. */
  active?: ReleaseRef
}

export const freezeUpdate = defineUpdate<FreezeChanged, [FreezeChange]>('freeze')

export type BlockChange =
  /** `rollback`: a person's, if the release serves; the way back, if it is being deployed. */
  | { type: 'block'; id: string; environment: string; block: BlockedRelease; rollback: boolean }
  | { type: 'unblock'; id: string; environment: string; release: ReleaseRef; actor: Actor }

export interface BlockChanged {
  /** Traffic goes to it, or it is being deployed: that goes on, unless something is said to take it away. */
  serves: boolean
  deploys: boolean
  /** The rollback that was queued with it. */
  rollback?: PersonAccepted
  /** Requests that were queued and are refused now. */
  refused: string[]
  /** Unblocked, and may not come all the same: why. */
  still?: string
}

export const blockUpdate = defineUpdate<BlockChanged, [BlockChange]>('block')

export const environmentStateQuery = defineQuery<EnvironmentState>('state')
