import type { SegmentTokenRequest } from '../contract/runner-api.ts'
import type { InFlight } from './in-flight.ts'
import type { Journals } from './journal.ts'
import type { Log } from './log.ts'
import type { News } from './news.ts'
import type { Plans } from './plans.ts'
import type { AttemptDeps } from './run-attempt.ts'
import type { RunStops } from './run-stops.ts'
import type { SegmentSession } from './segment-session.ts'
import type { Slots } from './slots.ts'
import type { Workspaces } from './workspace/workspaces.ts'

/** The parts of one runner. */
export interface RunnerDeps extends AttemptDeps {
  name: string
  workspaces: Workspaces
  journals: Journals
  plans: Plans
  news: News
  slots: Slots
  inFlight: InFlight
  stops: RunStops
  /** Aborted with `drained` when the runner is being stopped. */
  draining: AbortSignal
  createSession(request: Omit<SegmentTokenRequest, 'runner'>): SegmentSession
  log: Log
}

/** The Temporal activity that work is done for. */
export interface Task {
  /** Its task token, base64. */
  token: string
  /** Aborted with a `StopReason`. */
  signal: AbortSignal
  /** Details of the next heartbeat. */
  progress(details: unknown): void
  /** Is it still ours? Asks Temporal unless that has said so just now, and waits for as long as it is away; false once stopped. */
  confirm(signal: AbortSignal): Promise<boolean>
}
