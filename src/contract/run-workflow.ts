import type { Actor } from '../domain/trigger.ts'
import type { Answer } from '../domain/environment.ts'
import type { Outcome } from '../domain/step.ts'
import type { RunEnd, RunIdentity, RunStatus } from '../domain/run.ts'
import type { UndoItem } from '../domain/run-event.ts'
import type { SettledUndo, SettleUndo } from '../domain/settle-undo.ts'
import { defineQuery, defineSignal, defineUpdate } from './messages.ts'

/** Argument of the workflow `run`. Its memo is `RunMemo`; it always completes, with the run's end as result. */
export interface RunInput {
  run: RunIdentity
  repository: RepositoryRef
}

/** How a runner gets at a repository: the URL, and nothing secret. */
export interface RepositoryRef {
  project: string
  /** https, ssh, http or file URL, without credentials in it. */
  url: string
}

/** Tells "already started by us" from a stranger's workflow of the same id. */
export interface RunMemo {
  store: string
}

export interface RunResult {
  end: RunEnd
}

export interface CancelRequest {
  actor: Actor
  reason?: string
}

/** What the workflow says about itself while it is open. */
export interface RunState {
  status: RunStatus
  outcomes: Outcome[]
  undo: UndoItem[]
}

/** Stops the run at any moment: process trees gone, undo done, then it ends `cancelled`. Twice is once. */
export const cancelSignal = defineSignal<[CancelRequest]>('cancel')

/** What has become of a deployment that the run asked for. Repeats are harmless. */
export const answerSignal = defineSignal<[Answer]>('answer')

/**
 * A person settles the undo that the run is blocked at. Answers at once with what will happen; refused as `conflict` if no
 * undo, or another one, is blocked. The same id twice is once.
 */
export const settleUndoUpdate = defineUpdate<SettledUndo, [SettleUndo]>('settleUndo')

export const runStateQuery = defineQuery<RunState>('state')
