// Long because all that the rest of Belay knows of the store is on this one page.
/**
 * What we remember, as the rest of Belay sees it. One interface, two engines (SQLite for one machine, PostgreSQL for many),
 * one contract test. All times are ms since 1970, UTC. Every write is one transaction and is on disk when it returns.
 * Full disk or database away: `BelayError` `unavailable`, retryable; nothing half-written.
 */
import type { Delivery, DeliveryAnswer } from '../domain/delivery.ts'
import type { Deployment, EnvironmentState } from '../domain/environment.ts'
import type { Keep, SweepKind, Swept } from '../domain/keep.ts'
import type { Plan } from '../domain/plan.ts'
import type { Release } from '../domain/release.ts'
import type { RunEnding, RunEvent, StepChange, StoredRunEvent, UndoItem } from '../domain/run-event.ts'
import type { RunIdentity, RunStatus } from '../domain/run.ts'
import type { Actor, ParsedDelivery, Trigger } from '../domain/trigger.ts'

export interface Page<T> {
  items: T[]
  /** Opaque; absent on the last page. */
  nextCursor?: string
}
export interface PageRequest {
  cursor?: string | undefined
  /** Default 50, at most 200. */
  limit?: number | undefined
}

// --- deliveries and commands -------------------------------------------------------------------------------------------

export interface AcceptDelivery {
  project: string
  forge: string
  deliveryId: string
  event: string
  /** Of the raw bytes. */
  bodyDigest: string
  parsed: ParsedDelivery
  /** URL of a run, for the answer. */
  runUrl(runId: string): string
}

export type Accepted =
  | { type: 'accepted' | 'ignored' | 'duplicate'; answer: DeliveryAnswer }
  /** Same delivery id, other bytes. */
  | { type: 'conflict' }

export interface DeliveryStore {
  /**
   * One transaction: the delivery and, for a trigger, a queued run and its `start` command; under load, grouped. If polling
   * saw this push first, the run that it started is the answer, and this delivery's: no other delivery gets it. Else the head
   * is noted for polling, if the project was ever polled; so is the head of an ignored one.
   */
  accept(input: AcceptDelivery): Promise<Accepted>
  list(page: PageRequest & { project?: string | undefined }): Promise<Page<Delivery>>
}

/** A command that still has to reach Temporal. */
export interface Command {
  id: number
  runId: string
  kind: 'start' | 'cancel'
  /** Of a cancel, or of a start that goes on after an end: who and why. */
  actor?: Actor
  reason?: string
  /** Of the run that it is for; if the run has another by now, it is void. */
  round: number
  /** Of a start that goes on: this step is done again in any case. */
  from?: string
  /** How often it was tried. */
  attempts: number
}

export interface CommandStore {
  /**
   * Leases up to `limit` commands that are due, oldest first, never one behind an undone one of the same run. `only`: cancels, and
   * what stands before one in its run.
   */
  lease(input: { owner: string; leaseMs: number; limit: number; only?: 'cancel' }): Promise<Command[]>
  /** Says of each queued run, once, why it does not begin: of those whose start was never leased. */
  hold(reason: string): Promise<void>
  /** After Temporal's acknowledgement. */
  done(id: number): Promise<void>
  /** Not now: due again at `retryAt`; the lease ends. */
  retry(id: number, input: { retryAt: number; error: string }): Promise<void>
  /** Resolves when a command may be due: at once after a write, else after `timeoutMs`. */
  wait(timeoutMs: number): Promise<void>
}

// --- runs --------------------------------------------------------------------------------------------------------------

export interface Run extends RunIdentity {
  status: RunStatus
  /** Name of the pipeline, once compiled. */
  pipelineName?: string
  planDigest?: string
  reason?: string
  createdAt: number
  startedAt?: number
  endedAt?: number
  /** Highest epoch a workspace of this run was given out under. */
  epoch: number
  undo: UndoItem[]
  /** How often it was gone on with after its end. */
  round: number
}

/** The newest state of one attempt of a step. */
export interface StepRow extends StepChange {
  runId: string
}

export interface RunFilter {
  project?: string | undefined
  branch?: string | undefined
  status?: RunStatus | undefined
}

export interface RunStore {
  /** A queued run with its `start` command, asked for by a person or by polling. `key` makes it idempotent. */
  start(input: { project: string; trigger: Trigger; key: string; pipeline?: string }): Promise<Run>
  /** Rows for further pipelines that the same trigger matches; unique by (first run, pipeline). */
  startSiblings(input: { runId: string; pipelines: string[] }): Promise<void>
  /** A `cancel` command. A run not yet carried to Temporal ends here, without a workflow. Ended: nothing happens. */
  cancel(input: { runId: string; actor: Actor; reason?: string }): Promise<Run>
  /**
   * An ended run goes on in its own record: queued again in the next round, with a `start` command and a row of the audit;
   * steps, events, logs stay. Not ended, or ended well: `conflict`. The same key again changes nothing.
   */
  resume(input: { runId: string; from?: string; actor: Actor; reason?: string; key: string }): Promise<Run>
  /** How it came to its present round: the number of the event that tells so, and where from. Undefined: it is the first round. */
  findResume(run: Pick<Run, 'id' | 'round'>): Promise<{ seq: number; from?: string } | undefined>
  find(runId: string): Promise<Run | undefined>
  findByNumber(project: string, number: number): Promise<Run | undefined>
  list(input: PageRequest & RunFilter): Promise<Page<Run>>
  /** Runs that have not ended. */
  listOpen(): Promise<Run[]>
  /** Those of them that are owed no start any more: Temporal has acknowledged that of their round. */
  listStarted(): Promise<Run[]>
  /** Which of these have ended or were never here? */
  whichEnded(runIds: string[]): Promise<string[]>
  steps(runId: string): Promise<StepRow[]>
  savePlan(input: { runId: string; plan: Plan; planDigest: string }): Promise<void>
  findPlan(planDigest: string): Promise<Plan | undefined>
  /**
   * Gives events the run's next sequence numbers, moves step rows forward and keeps the run row's status, undo list and
   * epoch, in one transaction. An event whose (source, epoch, n) is known, and a step change that moves nothing, are dropped.
   */
  record(runId: string, events: RunEvent[]): Promise<void>
  /**
   * The last write of a round: events, status, reason, end. After it `record` only adds events, and changes nothing else. In a
   * later round only the events are written.
   */
  finish(runId: string, ending: RunEnding, events: RunEvent[]): Promise<void>
  events(runId: string, input: { after: number; limit: number }): Promise<StoredRunEvent[]>
  newestEvent(runId: string): Promise<StoredRunEvent | undefined>
  /** Resolves when there may be events after `after`: at once after a write, else after `timeoutMs`. */
  waitForEvents(runId: string, input: { after: number; timeoutMs: number; signal?: AbortSignal }): Promise<void>
  /** Notes a higher epoch; a lower one than noted throws `stale`. */
  raiseEpoch(runId: string, epoch: number): Promise<void>
}

/** Who works in a run's workspace: noted by control, before anything is sent there. */
export interface HolderStore {
  /** Raises the run's epoch, too. Of one (run, epoch) the first note stays. */
  note(input: { runId: string; epoch: number; runner: string }): Promise<void>
  /** `none`: nobody under this epoch. `never`: nobody was ever noted for this run, which was begun before there were notes. */
  find(runId: string, epoch: number): Promise<{ type: 'noted'; runner: string } | { type: 'none' } | { type: 'never' }>
}

// --- logs and blobs ------------------------------------------------------------------------------------------------------

/** One log: what one attempt of one step printed under one epoch. `part` keeps an undo's output apart from its step's. */
export interface LogKey {
  runId: string
  step: string
  attempt: number
  epoch: number
  part: 'step' | 'undo' | 'finally'
}
export interface LogInfo extends LogKey {
  sizeBytes: number
  closed: boolean
  truncated: boolean
}

export interface LogStore {
  /**
   * Takes bytes at the log's current end only: of an overlap the new part, of a gap nothing (`gap`, with the end).
   * Bytes first, then the row (log, offset), which is the commit. A lower epoch than the step's newest throws `stale`: so the first
   * bytes under a new epoch end the logs that were open under lower ones, with a line that says so.
   */
  append(
    key: LogKey,
    input: { offset: number; bytes: Buffer; final: boolean },
  ): Promise<{ end: number; gap: boolean; truncated: boolean }>
  /** The logs of a step, oldest first by (attempt, epoch). */
  list(runId: string, step: string): Promise<LogInfo[]>
  /** Committed bytes only; fewer than `length` at the end. */
  read(key: LogKey, input: { offset: number; length: number }): Promise<Buffer>
  waitForGrowth(key: LogKey, input: { size: number; timeoutMs: number; signal?: AbortSignal }): Promise<void>
}

export interface BlobStore {
  /** Streams to disk, checks the digest, then names it: never a partial blob under its name. Wrong digest: `mismatch`. */
  put(digest: string, bytes: AsyncIterable<Uint8Array>): Promise<{ created: boolean; sizeBytes: number }>
  has(digest: string): Promise<boolean>
  /**
   * Those of these that are there. From here on they are as young as if they had just been put: a clean-up that is under way
   * leaves them.
   */
  touch(digests: readonly string[]): Promise<Set<string>>
  /** Throws `not_found`. */
  read(digest: string): Promise<NodeJS.ReadableStream & AsyncIterable<Uint8Array>>
}

// --- the rest ------------------------------------------------------------------------------------------------------------

export interface ReleaseStore {
  /** Unique by (run, step): a second call returns the first release. */
  create(
    input: Omit<Release, 'id' | 'number' | 'createdAt' | 'version' | 'removedAt'> & { step: string; version?: string },
  ): Promise<Release>
  find(id: string): Promise<Release | undefined>
  findByNumber(project: string, number: number): Promise<Release | undefined>
  /** The project's newest release of that image. */
  findByDigest(project: string, digest: string): Promise<Release | undefined>
  list(input: PageRequest & { project?: string | undefined }): Promise<Page<Release>>
}

export interface EnvironmentStore {
  /** Newest recorded state; with the highest fence ever taken. */
  load(name: string): Promise<{ state?: EnvironmentState; fence: number }>
  /** Lower than recorded: `stale`; the same again: fine. */
  takeFence(name: string, fence: number): Promise<void>
  /** Ignored if a newer fence, or a newer revision under the same fence, was recorded already. */
  record(state: EnvironmentState, deployment?: Deployment): Promise<void>
  list(): Promise<EnvironmentState[]>
  deployments(input: PageRequest & { environment: string }): Promise<Page<Deployment>>
}

export const roles = ['viewer', 'operator', 'approver', 'admin', 'runner'] as const
export type Role = (typeof roles)[number]

export interface TokenStore {
  /**
   * As Belay itself makes one; whoever makes a token, it is in the audit (here by `belay`). The plain token is returned here
   * and nowhere else; only its SHA-256 is stored. `name` is unique: the older is revoked.
   */
  create(input: { name: string; role: Role; expiresAt?: number; origin?: string }): Promise<string>
  /**
   * Makes one if none of its role is valid: of many callers at once, on any machine, one gets it. `origin` says where it is
   * written down; told to the others, with the name of one that is valid (of this very name, if it is). Empty: nobody
   * noted where; absent: a person made it.
   */
  createFirst(input: { name: string; role: Role; origin: string }): Promise<FirstToken>
  /** Undefined if unknown, expired or revoked. */
  find(token: string): Promise<{ name: string; role: Role } | undefined>
  hasAny(role: Role): Promise<boolean>
  /** Those that are not revoked, newest first; never the token itself. */
  list(page: PageRequest): Promise<Page<TokenInfo>>
  /** As a person asks for it: looked at, made and written into the audit in one transaction. */
  issue(input: { name: string; role: Role; expiresAt?: number; replace: boolean; actor: string }): Promise<IssuedToken>
  /** As a person asks for it, with its row of the audit. The last admin's stays, as `issue` says. */
  revoke(input: { name: string; actor: string }): Promise<'revoked' | 'unknown' | 'last_admin'>
  createSegmentToken(input: SegmentGrant): Promise<string>
  findSegmentGrant(token: string): Promise<SegmentGrant | undefined>
}

export type FirstToken = { made: true; token: string } | { made: false; name: string; origin?: string }

/**
 * `taken`: a valid one has this name, and `replace` was not said. `last_admin`: it would end the last valid admin's that does
 * not expire, or, if all expire, the last valid one's; what takes its place must be an admin's and last as well.
 */
export type IssuedToken = { type: 'made'; token: string } | { type: 'taken' } | { type: 'last_admin' }

export interface TokenInfo {
  name: string
  role: Role
  createdAt: number
  expiresAt?: number
}

/** What a segment token allows. */
export interface SegmentGrant {
  runner: string
  runId: string
  epoch: number
  planDigest: string
  steps: string[]
  expiresAt: number
}

export interface AuditStore {
  write(entry: { actor: string; action: string; subject: string; data?: Record<string, unknown> }): Promise<void>
  list(
    page: PageRequest,
  ): Promise<Page<{ seq: number; at: number; actor: string; action: string; subject: string; data: Record<string, unknown> }>>
}

export interface PresenceReport {
  runner: string
  slots: number
  busy: number
  labels: string[]
  /** Name of the token that the report came with. */
  token: string
  at: number
}

/** `other`: another valid token, of that name, speaks for the runner. */
export type SpokenFor = { type: 'own' } | { type: 'other'; token: string }

/** Each change between ACTIVE and INACTIVE is one row of the audit, whichever of several servers notices it. */
export interface PresenceStore {
  /** Changes nothing if the token does not speak for the runner, or the report was overtaken by a newer one. */
  report(input: PresenceReport): Promise<SpokenFor>
  /** May this token speak for that runner? One of the runner's own name may; else the first that did, as long as it is valid. */
  claim(input: { runner: string; token: string }): Promise<SpokenFor>
  /** Makes those INACTIVE that were not seen since, and gives the names of those that it told. */
  expire(seenBefore: number): Promise<string[]>
  /** `active` and `since`: as they were told last. */
  list(): Promise<KnownRunner[]>
}

export interface KnownRunner {
  runner: string
  slots: number
  busy: number
  labels: string[]
  seenAt: number
  active: boolean
  since: number
}

/** Branch heads last seen by polling, and the trigger for a new one, in one transaction. */
export interface PollStore {
  heads(project: string): Promise<Record<string, string>>
  /**
   * Notes the head. With `trigger` it starts its run too, if the head noted is still `known` (absent: none was): each move
   * of a branch starts one run, whoever sees it, and the same head again starts none.
   */
  seen(input: { project: string; branch: string; sha: string; trigger?: Trigger; known?: string }): Promise<void>
}

/** What the outside has still to be told. */
export interface OutboxItem {
  id: number
  /** Counts the replacements of its payload. */
  version: number
  payload: CommitStatusNews
  /** How often this payload was tried. */
  attempts: number
  createdAt: number
}

/** One that is leased: `done` and `retry` end this lease, and no other. */
export interface LeasedItem extends OutboxItem {
  lease: { owner: string; until: number }
}

/** A run's state as its commit's status: one row per (project, commit, pipeline), the newest run and its newest state win. */
export interface CommitStatusNews {
  type: 'commit_status'
  project: string
  runId: string
  runNumber: number
  sha: string
  /** Absent: the run ended before its pipeline had a name. */
  pipeline?: string
  status: RunStatus
  reason?: string
  /** Absent: the first. */
  round?: number
}

/**
 * Rows are written by `runs.record`, `runs.finish` and `runs.cancel`, in the transaction that changes the run's status to one
 * that a forge is told (from `running` on, once the pipeline has a name). Of the same key a newer run's row, or the same run's later status, replaces the
 * payload and makes it due at once; an older run's is dropped, and so is anything of a run after its end. Where a row without
 * a pipeline is left by an older run of the commit, news of a pipeline is written there, too; no row is made for that. What has
 * no pipeline is dropped if a newer run of the commit, not queued any more, has one.
 */
export interface OutboxStore {
  /** Leases up to `limit` items that are due: what was tried least first, of that the oldest. `owner` is one sender's alone. */
  lease(input: { owner: string; leaseMs: number; limit: number }): Promise<LeasedItem[]>
  /**
   * Delivered, or given up for good with `error`. If the payload was replaced meanwhile, only the lease ends; if the lease is
   * another one's by now, nothing happens.
   */
  done(item: Pick<LeasedItem, 'id' | 'version' | 'lease'>, error?: string): Promise<void>
  /** Not now: due again at `retryAt`; if the payload was replaced meanwhile, at once; no longer leased: as `done`. */
  retry(item: Pick<LeasedItem, 'id' | 'version' | 'lease'>, input: { retryAt: number; error: string }): Promise<void>
  /** Resolves when an item may be due: at once after a write, else after `timeoutMs`. */
  wait(timeoutMs: number): Promise<void>
  /** What was not delivered yet and what was given up, newest first. */
  list(page: PageRequest): Promise<Page<OutboxItem & { error?: string; givenUp: boolean }>>
}

export interface SweepRequest {
  keep: Keep
  dry: boolean
  /** Directory of image layouts, if they lie on this machine. */
  images?: string
  /** Absent: everything. */
  only?: readonly SweepKind[] | undefined
  /** Asked between two batches, also of what stays: no more, if it says so. */
  goesOn?: () => Promise<boolean>
}

/** What is not kept any longer is removed, by one of the servers. */
export interface HousekeepingStore {
  /** True: it is this owner's turn until the time is up, also if it was already. */
  lease(input: { owner: string; leaseMs: number }): Promise<boolean>
  /** Ends the turn, if it is this owner's. */
  release(owner: string): Promise<void>
  /**
   * Removes batch by batch and tells what went; whoever stops asking stops it. With `dry` it only tells what would go. What runs
   * that have not ended need stays, and so does what one of the releases needs that an environment remembers, has queued or
   * serves. A kill at any point leaves nothing listed that is not whole; the next one finds what was left.
   */
  sweep(input: SweepRequest): AsyncGenerator<Swept>
}

export interface Store {
  /** Made once with the database: tells our workflows from those of another store. */
  readonly id: string
  deliveries: DeliveryStore
  commands: CommandStore
  runs: RunStore
  holders: HolderStore
  logs: LogStore
  blobs: BlobStore
  releases: ReleaseStore
  environments: EnvironmentStore
  tokens: TokenStore
  audit: AuditStore
  presence: PresenceStore
  polls: PollStore
  outbox: OutboxStore
  housekeeping: HousekeepingStore
  /**
   * Notes the key that encrypts from here on (undefined: none), unless the one noted so far is not among `knows`: then nothing
   * changes, and that one is returned.
   */
  notePayloadKey(keys: { encrypts?: string; knows: readonly string[] }): Promise<{ missing?: string }>
  /** Can it be read and written now? Throws `unavailable`. */
  ping(): Promise<void>
  close(): Promise<void>
}
