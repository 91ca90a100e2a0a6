import type { Migration } from '../migrate.ts'

/** Times are ms since 1970 (bigint), ids and JSON are text. Counters instead of auto-increment: no gaps, both engines. */
export const firstPath: Migration = {
  number: 1,
  name: 'first path',
  statements: [
    `create table counters (name text primary key, value bigint not null)`,

    `create table deliveries (
      id text primary key, sequence bigint not null unique, project text not null, forge text not null,
      delivery_id text not null, event text not null, body_digest text not null, received_at bigint not null,
      answer text not null, unique (project, delivery_id))`,
    `create index deliveries_by_project on deliveries (project, sequence)`,

    `create table runs (
      id text primary key, project text not null, number bigint not null, sequence bigint not null,
      trigger_json text not null, branch text not null, pipeline text, start_key text, first_run_id text references runs (id),
      delivery_row_id text references deliveries (id) deferrable initially deferred, status text not null, pipeline_name text, plan_digest text, reason text,
      created_at bigint not null, started_at bigint, ended_at bigint, epoch bigint not null, undo text not null,
      last_seq bigint not null,
      unique (project, number), unique (project, start_key), unique (first_run_id, pipeline))`,
    `create index runs_newest on runs (sequence, number)`,
    `create index runs_by_project on runs (project, sequence, number)`,
    `create index runs_open on runs (sequence, number) where ended_at is null`,

    `create table commands (
      id bigint primary key, run_id text not null references runs (id), kind text not null, actor text, reason text,
      due_at bigint not null, attempts bigint not null, error text, lease_owner text, lease_until bigint,
      created_at bigint not null, done_at bigint)`,
    `create index commands_undone on commands (due_at, id) where done_at is null`,
    `create index commands_by_run on commands (run_id, id)`,

    `create table steps (
      run_id text not null references runs (id), step text not null, attempt bigint not null, epoch bigint not null,
      rank bigint not null, status text not null, started_at bigint, ended_at bigint, change text not null,
      primary key (run_id, step, attempt))`,

    `create table run_events (
      run_id text not null references runs (id), seq bigint not null, source text not null, epoch bigint not null,
      n bigint not null, at bigint not null, body text not null,
      primary key (run_id, seq), unique (run_id, source, epoch, n))`,

    `create table artifacts (
      run_id text not null references runs (id), step text not null, path text not null, digest text not null,
      size_bytes bigint not null, executable bigint not null, created_at bigint not null,
      primary key (run_id, step, path, digest))`,
    `create index artifacts_by_digest on artifacts (digest)`,

    `create table plans (digest text primary key, plan text not null, created_at bigint not null)`,

    `create table logs (
      run_id text not null references runs (id), step text not null, attempt bigint not null, epoch bigint not null,
      part text not null, size_bytes bigint not null, closed bigint not null, truncated bigint not null,
      created_at bigint not null, updated_at bigint not null,
      primary key (run_id, step, attempt, part, epoch))`,

    `create table releases (
      id text primary key, project text not null, number bigint not null, run_id text not null references runs (id),
      step text not null, sha text not null, version text not null, image text not null, artifacts text not null,
      created_at bigint not null, unique (project, number), unique (run_id, step))`,
    `create index releases_newest on releases (created_at, id)`,

    `create table environments (name text primary key, fence bigint not null, state text, updated_at bigint not null)`,

    `create table deployments (
      id text primary key, environment text not null, request_id text not null, run_id text, status text not null,
      started_at bigint not null, ended_at bigint, deployment text not null)`,
    `create index deployments_newest on deployments (environment, started_at, id)`,
    `create index deployments_by_request on deployments (request_id)`,

    `create table outbox (
      id bigint primary key, key text not null unique, kind text not null, payload text not null, due_at bigint not null,
      attempts bigint not null, error text, lease_owner text, lease_until bigint, created_at bigint not null, done_at bigint)`,

    `create table audit (
      seq bigint primary key, at bigint not null, actor text not null, action text not null, subject text not null,
      data text not null)`,

    `create table tokens (
      id text primary key, name text not null, role text not null, hash text not null unique, created_at bigint not null,
      expires_at bigint, revoked_at bigint)`,
    `create unique index tokens_live on tokens (name) where revoked_at is null`,

    `create table segment_tokens (
      hash text primary key, run_id text not null references runs (id), granted text not null, expires_at bigint not null)`,
    `create index segment_tokens_expiry on segment_tokens (expires_at)`,

    `create table runners (
      runner text primary key, slots bigint not null, busy bigint not null, labels text not null, seen_at bigint not null)`,

    `create table polls (
      project text not null, branch text not null, sha text not null, seen_at bigint not null, primary key (project, branch))`,
  ],
}
