import type { Actor } from '../domain/trigger.ts'
import type { Answer } from '../domain/environment.ts'
import type { Outcome } from '../domain/step.ts'
import type { EndFacts, RunEnd, RunIdentity, RunStatus } from '../domain/run.ts'
import type { UndoItem } from '../domain/run-event.ts'
import type { SettledUndo, SettleUndo } from '../domain/settle-undo.ts'
import { defineQuery, defineSignal, defineUpdate } from './messages.ts'

/** Argument of the workflow `run`. Its memo is `RunMemo`; it always completes, with the run's end as result. */
export interface RunInput {
  run: RunIdentity
  repository: RepositoryRef
  /** It goes on after an end. */
  resume?: Resume
}

export interface Resume {
  /** From 1: which time it is. */
  round: number
  /** The highest under which work was done before. */
  epoch: number
  /** This step is done again in any case, and all that follow from it. */
  from?: string
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

/** The environment of that name was started afresh, and may not know all that it was asked. Repeats are harmless. */
export const sayAgainSignal = defineSignal<[string]>('sayAgain')

/**
 * A person settles the undo that the run is blocked at. Answers at once with what will happen; refused as `conflict` if no
 * undo, or another one, is blocked. The same id twice is once.
 */
export const settleUndoUpdate = defineUpdate<SettledUndo, [SettleUndo]>('settleUndo')

export const runStateQuery = defineQuery<RunState>('state')

/** What is owed, as data: enough for another workflow to carry it out. */
export interface OwedUndo extends UndoItem {
  key: string
  how: { type: 'commands' } | { type: 'deployment'; environment: string; requestId: string }
}

/**
 * How far a run has come with its end. `keeping`: all steps ended well, and what it deployed is being kept; `settled`: it is;
 * `unwinding`: what is owed is being taken back; `ended`: only its last write may be missing.
 */
export interface ClosingState {
  phase: 'working' | 'keeping' | 'settled' | 'unwinding' | 'ended'
  facts: EndFacts
  reason?: string
  /** With which status `finally` began, if it did; its steps have outcomes like any other. */
  finally?: RunStatus
  /** Nothing of `finally` is left to do. */
  finallyDone: boolean
}

/** All that another workflow needs to bring this run to its end. Outcomes are without what was printed. */
export interface RunRemains {
  input: RunInput
  planDigest?: string
  outcomes: Outcome[]
  /** So many of the first outcomes are those that it went on with after an end: people know them. Absent: none. */
  earlier?: number
  undo: OwedUndo[]
  answers: Answer[]
  workspace: WorkspacePlace
  closing: ClosingState
  cancel?: CancelRequest
}

/** The last epoch that the workspace was given out under, and where it lies, if anywhere. */
export interface WorkspacePlace {
  epoch: number
  runner?: string
  /** The epoch under which its directory was made. */
  since?: number
}

/** Also answered by a recovery; one that has not come so far as to know them names the one before it, if there was one. */
export type RunRemainsAnswer = { type: 'remains'; remains: RunRemains } | { type: 'unknown'; previous?: string }

export const runRemainsQuery = defineQuery<RunRemainsAnswer>('remains')

/** Argument of the workflow `recovery`. Its memo is `RunMemo`; it takes the messages of the run, and ends like it. */
export interface RecoveryInput {
  run: RunIdentity
  /** Of the run, if it had gone on after an end. */
  round?: number
  /** Temporal's run id of the recovery before this one, which was ended from outside, too. */
  previous?: string
}
