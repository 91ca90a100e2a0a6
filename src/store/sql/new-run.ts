import { randomUUID } from 'node:crypto'
import type { Actor, Trigger } from '../../domain/trigger.ts'
import { counters, nextNumber } from './counters.ts'
import type { Tx } from './database.ts'
import { toJson } from './json.ts'
import type { RunTable } from './schema.ts'

export interface NewRun {
  project: string
  trigger: Trigger
  /** From `nextNumber(tx, counters.trigger)`; siblings share it. */
  sequence: number
  now: number
  pipeline?: string | undefined
  startKey?: string | undefined
  firstRunId?: string | undefined
  deliveryRowId?: string | undefined
}

/** A queued run and its `start` command, in the transaction of whatever triggered it. */
export async function insertRun(tx: Tx, run: NewRun): Promise<RunTable> {
  const row: RunTable = {
    id: randomUUID(),
    project: run.project,
    number: await nextNumber(tx, counters.run(run.project)),
    sequence: run.sequence,
    trigger_json: toJson(run.trigger),
    branch: run.trigger.branch,
    pipeline: run.pipeline ?? null,
    start_key: run.startKey ?? null,
    first_run_id: run.firstRunId ?? null,
    delivery_row_id: run.deliveryRowId ?? null,
    status: 'queued',
    pipeline_name: null,
    plan_digest: null,
    reason: null,
    created_at: run.now,
    started_at: null,
    ended_at: null,
    epoch: 0,
    undo: toJson([]),
    last_seq: 0,
    round: 0,
  }
  await tx.insertInto('runs').values(row).execute()
  await insertCommand(tx, { runId: row.id, round: 0, kind: 'start', now: run.now })
  return row
}

interface NewCommand {
  runId: string
  round: number
  kind: 'start' | 'cancel'
  now: number
  actor?: Actor | undefined
  reason?: string | undefined
  from?: string | undefined
  key?: string | undefined
}

export async function insertCommand(tx: Tx, command: NewCommand): Promise<void> {
  await tx
    .insertInto('commands')
    .values({
      id: await nextNumber(tx, counters.command),
      run_id: command.runId,
      kind: command.kind,
      actor: command.actor === undefined ? null : toJson(command.actor),
      reason: command.reason ?? null,
      round: command.round,
      from_step: command.from ?? null,
      request_key: command.key ?? null,
      due_at: command.now,
      attempts: 0,
      error: null,
      lease_owner: null,
      lease_until: null,
      created_at: command.now,
      done_at: null,
    })
    .execute()
}
