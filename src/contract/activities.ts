/**
 * What workflows may ask of the world, by the worker that does it. Every call may come twice: each says what then.
 * Failures are `ApplicationFailure`s by `toApplicationFailure`; their `type` is an `ErrorCode` or a `failureTypes` entry.
 */
import type { Answer, Deployment, EnvironmentState } from '../domain/environment.ts'
import type { Freeze, Held } from '../domain/freeze.ts'
import type { Deploy, EnvValue, Plan, Undo, FinallyStep } from '../domain/plan.ts'
import type { Release, ReleaseRef } from '../domain/release.ts'
import type { RunEnding, RunEvent } from '../domain/run-event.ts'
import type { RunIdentity } from '../domain/run.ts'
import type { Artifact, Outcome, StepResult } from '../domain/step.ts'
import type { EnvironmentMessage } from './environment-workflow.ts'
import type { RecoveryInput, RepositoryRef, Resume, RunRemains } from './run-workflow.ts'

// --- control ---------------------------------------------------------------------------------------------------------

export interface PipelineFile {
  /** Path in the repository, `.belay.yml` or `.belay/*.yml`. */
  path: string
  text: string
}

export interface CompileInput {
  run: RunIdentity
  files: PipelineFile[]
  /** Who opened the run's first workspace, noted before there is a Plan; absent: nobody is noted for this run. */
  holder?: { epoch: number; runner: string }
  /** It is for the others only: their runs are started, and this one, of which nothing is begun, gets no Plan. */
  othersOnly?: true
}

/** `planned`: the Plan enters history here, once, and is stored by digest. The other two are ends of the run. */
export type CompileResult =
  { type: 'planned'; plan: Plan; planDigest: string } | { type: 'skipped'; reason: string } | { type: 'invalid'; reason: string }

export interface LoadResume {
  runId: string
  resume: Resume
}

export interface Resumed {
  plan?: Plan
  planDigest?: string
  /** Of all attempts; of a step that is done again one more, which makes its next attempt ready. */
  outcomes: Outcome[]
}

export interface ControlActivities {
  /** Compiles the run's pipeline, stores the Plan, inserts run rows for further matches. Twice: the same answer. */
  compileRun(input: CompileInput): Promise<CompileResult>
  /** With what a run goes on after an end; without a plan it never had one, and begins at its beginning. */
  loadResume(input: LoadResume): Promise<Resumed>
  /** Writes run events, step rows with them. Idempotent by (source, epoch, n). */
  recordRunEvents(input: { runId: string; events: RunEvent[] }): Promise<void>
  /** The run's last write: its end and the last events, in one transaction. Retried for as long as it takes. */
  finishRun(input: { runId: string; ending: RunEnding; events: RunEvent[] }): Promise<void>
  /** Is that runner reporting to the server (within 10 s)? */
  isRunnerActive(input: { runner: string }): Promise<boolean>
  /** How things stand with a runner: when it was last heard of, whether it counts as ACTIVE, and whether others do. */
  findRunner(input: { runner: string }): Promise<RunnerStanding>
  /** Notes who works in the run's workspace under this epoch; the older epochs' writes are refused from here on. Twice: once. */
  noteHolder(input: { runId: string; epoch: number; runner: string }): Promise<void>
  /** Ends the logs that a runner which is gone left open under lower epochs, with a line that says so. Twice: nothing to do. */
  cutLogs(input: { runId: string; epoch: number; runner: string }): Promise<void>
  /** Makes the release of (run, step); a second call gives the same one. */
  createRelease(input: CreateReleaseInput): Promise<Release>
  /** Signal-with-start of `environment/<name>`. */
  tellEnvironment(input: { environment: string; message: EnvironmentMessage }): Promise<void>
  /** Signals the run, or its recovery if it is closed; "closed" and "not found" count as delivered. */
  answerRun(input: { runId: string; answer: Answer }): Promise<void>
  /** Asks each open run, or its recovery, to say again what it waits to hear of that environment. */
  callRuns(input: { environment: string }): Promise<void>
  /** Is the run's workflow open? */
  isRunOpen(input: { runId: string }): Promise<boolean>
  /** What a run that was ended from outside leaves behind: by its own word, or else by the store's. */
  readRemains(input: RecoveryInput): Promise<ReadRemains>
  /** The environment's last recorded state, for a workflow that starts afresh; with the highest fence ever written. */
  loadEnvironment(input: { environment: string }): Promise<{ state?: EnvironmentState; fence: number }>
  /** Writes the fencing number before it is used; a lower one than recorded is refused as `stale`. */
  takeFence(input: { environment: string; fence: number }): Promise<void>
  /** Writes state and, if given, one deployment row; the newest fence wins. */
  recordEnvironment(input: { state: EnvironmentState; deployment?: Deployment }): Promise<void>
  /** Is any of these windows on at that time? Here and not in a workflow: what clocks show changes with a version of Node. */
  findFreeze(input: { freezes: Freeze[]; at: number }): Promise<{ held?: Held }>
}

export interface ReadRemains {
  remains: RunRemains
  /** Who said so. */
  from: 'run' | 'recovery' | 'store'
  /** How its workflow ended, in words for people. */
  how: string
  /** When that was, as far as anybody knows. */
  closedAt: number
  plan?: Plan
  /** Attempts that were under way. */
  unended: { step: string; attempt: number; epoch: number }[]
}

export interface RunnerStanding {
  /** Reported within 10 s. */
  active: boolean
  /** Its last report, ms since 1970 by the clock of the server that took it; absent: it never reported, or this was recorded by earlier code. */
  seenAt?: number
  /** Only of earlier code: ms since its last report. */
  seenMsAgo?: number
  /** Another runner is ACTIVE. */
  others: boolean
}

export interface CreateReleaseInput {
  runId: string
  step: string
  project: string
  sha: string
  version?: string
  from: { step: string; result: StepResult }[]
}

// --- runner ----------------------------------------------------------------------------------------------------------

/** A workspace: a directory on a runner. Only the workflow gives it out, under a rising epoch. */
export interface WorkspaceRef {
  runId: string
  epoch: number
}

export interface OpenWorkspaceInput {
  workspace: WorkspaceRef
  repository: RepositoryRef
  sha: string
  /** Files to lay into the checkout, by digest: artifacts of steps that have ended. */
  artifacts: Artifact[]
  /** Laid over the commit of a fresh directory, before the artifacts. */
  checkpoint?: { digest: string; /** In it already; laid only if it cannot be had. */ artifacts: Artifact[] }
  /** Whose the workspace was: that runner keeps the directory as it is, if it has one from under `since` or later. */
  before?: { runner: string; since: number }
}

export interface OpenedWorkspace {
  runner: string
  files: PipelineFile[]
  /** The directory is the one of `before`, with all that was done in it. */
  resumed?: boolean
  /** The checkpoint is in it. Without this it could not be had, and the directory is as the commit has it. */
  restored?: boolean
}

export interface SegmentInput {
  workspace: WorkspaceRef
  run: RunIdentity
  planDigest: string
  segment: number
  /** All outcomes of the run so far. */
  outcomes: Outcome[]
  /** How often each step was interrupted so far. */
  interruptions: Record<string, number>
  /** Steps that may have been under way when nothing was heard: what the journal says was interrupted is not run again. */
  inDoubt?: string[]
}

export interface SegmentResult {
  /** Outcomes of this segment's attempts, in the order in which they ended, those read from the journal included. */
  outcomes: Outcome[]
  /** `complete`: nothing of the segment can go on here; else why it stopped early. */
  ended: 'complete' | 'cancelled' | 'drained'
  /** Those `inDoubt` that had been, and have no outcome. Nothing was begun then. */
  interrupted?: string[]
}

export interface ScriptInput {
  workspace: WorkspaceRef
  run: RunIdentity
  planDigest: string
  /** The step whose `undo` it is, or the `finally` step. */
  script: { type: 'undo'; step: string; undo: Undo } | { type: 'finally'; step: FinallyStep; status: string }
  attempt: number
}

export interface RunnerActivities {
  /**
   * Prepares the directory of (run, epoch), fetches exactly that commit, lays artifacts into it, and reads the pipeline
   * files. Called again for the same (run, epoch): the same directory; so is that of `before`, if it is there. Heartbeats.
   */
  openWorkspace(input: OpenWorkspaceInput): Promise<OpenedWorkspace>
  /**
   * Runs the steps of one segment by `advance`. A higher epoch than the directory's lease takes the directory over as
   * it is; a lower one fails `StaleEpoch`; a missing directory fails `WorkspaceGone`. What its journal already holds is
   * not run again. Heartbeats. Cancelled: stops its process trees first, then *returns* what there is, `cancelled`.
   */
  runSegment(input: SegmentInput): Promise<SegmentResult>
  /** Runs an undo or a `finally` step. Its outcome is data; it throws only if it could not be tried. Heartbeats. */
  runScript(input: ScriptInput): Promise<Outcome>
  /**
   * Kills what is left, removes the directory and its journals. Twice: nothing to do. `keep`: only kills, so that another
   * epoch may go on in the directory.
   */
  closeWorkspace(input: { runId: string; keep?: boolean }): Promise<void>
}

// --- deployer --------------------------------------------------------------------------------------------------------

/** Names one operation on a target. Retries of it keep both; the target answers a repeat from its record. */
export interface Operation {
  environment: string
  fence: number
  /** `<deployment>/<phase>`, and on the way back, which may be tried again, the fence. */
  operationId: string
}

export interface DeployOperation extends Operation {
  release: ReleaseRef
  deploy: Pick<Deploy, 'health' | 'bakeMs'> & Partial<Pick<Deploy, 'strategy'>>
}

/** The way back to a release: three operations, each with the next fence. */
export interface RestoreOperation extends Pick<DeployOperation, 'environment' | 'release' | 'deploy'> {
  stage: FenceOf
  check: FenceOf
  activate: FenceOf
}

type FenceOf = Omit<Operation, 'environment'>

/** A migration's command, run with that release's image. */
export interface MigrateOperation extends Operation {
  release: ReleaseRef
  /** Program and arguments. */
  command: string[]
  timeoutMs: number
}

export type MigrationReport =
  | { done: true }
  /** How it failed and what it printed last, for people; masked. */
  | { done: false; reason: string }

/** What a target says about itself, whatever we believe. */
export interface Observation {
  /** Manifest digest of the release that traffic goes to; absent: none. */
  servingDigest?: string
  /** Manifest digests of all instances that run. */
  running: string[]
  /** The highest fencing number it has seen. */
  fence: number
}

export interface HealthReport {
  healthy: boolean
  /** Why not, for people. */
  reason?: string
  probes: number
  /** Requests that the edge sent to it meanwhile, and those that failed or got a 5xx. */
  requests: number
  errors: number
}

export interface DeployerActivities {
  /** What does it serve? Changes nothing. */
  observe(input: { environment: string }): Promise<Observation>
  /** Runs a migration's command to its end. Killed in the middle: it runs again. Heartbeats. `not_yet`: the target cannot. */
  migrate(input: MigrateOperation): Promise<MigrationReport>
  /**
   * Starts the release beside what serves; no traffic yet. Already there: fine. What it was given of the environment's
   * variables, secrets by name; absent if its instances were there before. Histories of earlier versions have no result.
   */
  stage(input: DeployOperation): Promise<{ given?: Record<string, EnvValue> } | undefined>
  /** Waits until the staged release is healthy, or says why it is not. Heartbeats. */
  check(input: DeployOperation): Promise<HealthReport>
  /** Switches traffic to the staged release, dropping no request. */
  activate(input: DeployOperation): Promise<{ previousDigest?: string }>
  /**
   * `stage`, `check` and, if that says healthy, `activate`: who goes back has no time for three ways through a queue. The report
   * is the check's.
   */
  restore(input: RestoreOperation): Promise<{ given?: Record<string, EnvValue>; report: HealthReport }>
  /** Watches the release under traffic for `bakeMs`, and confirms its digest. Heartbeats. */
  verify(input: DeployOperation): Promise<HealthReport>
  /** Drains and stops everything that traffic does not go to. */
  retire(input: Operation): Promise<void>
  /** Takes traffic off and stops everything: the way back where nothing was kept. */
  clear(input: Operation): Promise<void>
}
