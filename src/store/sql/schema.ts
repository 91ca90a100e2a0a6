/** The tables as Kysely knows them: the newest state of `migrations/`. JSON columns are text. */
import type { DeliveryAnswer } from '../../domain/delivery.ts'
import type { Deployment, EnvironmentState } from '../../domain/environment.ts'
import type { Plan } from '../../domain/plan.ts'
import type { RunEventBody, StepChange, UndoItem } from '../../domain/run-event.ts'
import type { RunStatus } from '../../domain/run.ts'
import type { Artifact, Image, StepStatus } from '../../domain/step.ts'
import type { Actor, Trigger } from '../../domain/trigger.ts'
import type { CommitStatusNews, LogKey, Role, SegmentGrant } from '../store.ts'
import type { Json } from './json.ts'

export interface Tables {
  meta: { key: string; value: string }
  counters: { name: string; value: number }
  deliveries: DeliveryTable
  runs: RunTable
  commands: CommandTable
  steps: StepTable
  run_events: RunEventTable
  artifacts: ArtifactTable
  plans: { digest: string; plan: Json<Plan>; created_at: number }
  logs: LogTable
  releases: ReleaseTable
  environments: { name: string; fence: number; state: Json<EnvironmentState> | null; updated_at: number }
  deployments: DeploymentTable
  outbox: OutboxTable
  audit: { seq: number; at: number; actor: string; action: string; subject: string; data: Json<Record<string, unknown>> }
  tokens: TokenTable
  segment_tokens: { hash: string; run_id: string; granted: Json<SegmentGrant>; expires_at: number }
  runners: { runner: string; slots: number; busy: number; labels: Json<string[]>; seen_at: number } & RunnerState
  holders: { run_id: string; epoch: number; runner: string; noted_at: number }
  polls: { project: string; branch: string; sha: string; seen_at: number }
  leases: { name: string; owner: string; lease_until: number }
}

interface RunnerState {
  /** Name of the token that speaks for it. */
  token: string | null
  /** 0 or 1: as it was told last, since when. */
  active: number
  since: number
}

export interface DeliveryTable {
  id: string
  sequence: number
  project: string
  forge: string
  delivery_id: string
  event: string
  body_digest: string
  received_at: number
  answer: Json<DeliveryAnswer>
}

export interface RunTable {
  id: string
  project: string
  number: number
  sequence: number
  trigger_json: Json<Trigger>
  /** The trigger's, to filter by. */
  branch: string
  /** The one pipeline it is for; null: the first match. */
  pipeline: string | null
  /** Makes `start` and polling idempotent; unique in the project. */
  start_key: string | null
  /** Of a sibling: the run that the trigger made first. */
  first_run_id: string | null
  delivery_row_id: string | null
  status: RunStatus
  pipeline_name: string | null
  plan_digest: string | null
  reason: string | null
  created_at: number
  started_at: number | null
  ended_at: number | null
  epoch: number
  undo: Json<UndoItem[]>
  /** The sequence number of its newest event. */
  last_seq: number
  /** How often it was gone on with after its end. */
  round: number
}

export interface CommandTable {
  id: number
  run_id: string
  kind: 'start' | 'cancel'
  actor: Json<Actor> | null
  reason: string | null
  /** Of the run that it is for; of an older one it is void. */
  round: number
  /** Of a start that goes on: done again in any case. */
  from_step: string | null
  /** Makes going on idempotent; unique in the run. */
  request_key: string | null
  due_at: number
  /** How often it was leased. */
  attempts: number
  error: string | null
  lease_owner: string | null
  lease_until: number | null
  created_at: number
  done_at: number | null
}

export interface StepTable {
  run_id: string
  step: string
  attempt: number
  epoch: number
  rank: number
  status: StepStatus
  started_at: number | null
  ended_at: number | null
  change: Json<StepChange>
}

export interface RunEventTable {
  run_id: string
  seq: number
  source: string
  epoch: number
  n: number
  at: number
  body: Json<RunEventBody>
}

export interface ArtifactTable {
  run_id: string
  step: string
  path: string
  digest: string
  size_bytes: number
  /** 0 or 1. */
  executable: number
  created_at: number
}

export interface LogTable {
  run_id: string
  step: string
  attempt: number
  epoch: number
  part: LogKey['part']
  size_bytes: number
  /** 0 or 1. */
  closed: number
  truncated: number
  created_at: number
  updated_at: number
}

export interface ReleaseTable {
  id: string
  project: string
  number: number
  run_id: string
  step: string
  sha: string
  version: string
  image: Json<Image>
  artifacts: Json<Artifact[]>
  created_at: number
  /** Since when nobody can deploy it: its image and artifacts are not kept any longer. */
  removed_at: number | null
  /** Since when nothing keeps those any more; until then it may still be taken back. */
  let_go_at: number | null
}

export interface DeploymentTable {
  id: string
  environment: string
  request_id: string
  run_id: string | null
  status: string
  started_at: number
  ended_at: number | null
  deployment: Json<Deployment>
}

export interface OutboxTable {
  id: number
  /** What it is about: there is one row for it, with the newest payload. */
  key: string
  kind: CommitStatusNews['type']
  payload: Json<CommitStatusNews>
  /** Raised with every new payload. */
  version: number
  /** Of the run that the payload tells of. */
  run_number: number
  run_round: number
  due_at: number
  /** How often this payload was leased. */
  attempts: number
  error: string | null
  lease_owner: string | null
  lease_until: number | null
  /** The version that whoever has the lease is sending. */
  leased_version: number | null
  created_at: number
  /** Delivered, or given up. */
  done_at: number | null
  /** 0 or 1. */
  given_up: number
}

export interface TokenTable {
  id: string
  name: string
  role: Role
  hash: string
  created_at: number
  expires_at: number | null
  revoked_at: number | null
  /** Of a first token: where it was written down. Empty: nobody noted it. Null: a person has it. */
  origin: string | null
}
