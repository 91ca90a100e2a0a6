import { BelayError } from '../../domain/errors.ts'
import { mustBeResumable } from '../../domain/resume-run.ts'
import type { Actor } from '../../domain/trigger.ts'
import { writeAudit } from './audit.ts'
import type { StoreDatabase, Write } from './database.ts'
import { lock, locks } from './lock.ts'
import { insertCommand } from './new-run.ts'
import { insertEvent } from './record-events.ts'
import { lockRunRow } from './run-row.ts'

export interface ResumeRun {
  runId: string
  from?: string | undefined
  actor: Actor
  reason?: string | undefined
  key: string
}

/** Queues an ended run again, in its next round, with a row of the audit. False: this key did so already. */
export async function resumeRun({ tx, now }: Write, input: ResumeRun): Promise<boolean> {
  await lock(tx, locks.queue)
  const run = await lockRunRow(tx, input.runId)
  const known = await tx
    .selectFrom('commands')
    .select('from_step')
    .where('run_id', '=', input.runId)
    .where('request_key', '=', input.key)
    .executeTakeFirst()
  if (known !== undefined) return refuseOther(known.from_step, input)
  mustBeResumable(run)
  const round = run.round + 1
  const status = 'queued'
  const reason = describe(input)
  await tx.updateTable('runs').set({ status, reason, round, ended_at: null }).where('id', '=', input.runId).execute()
  await insertCommand(tx, { ...input, round, kind: 'start', now })
  await writeAudit(tx, { at: now, actor: input.actor.id, action: 'run.retry', subject: input.runId, data: dataOf(input) })
  await insertEvent(tx, input.runId, {
    source: 'store',
    epoch: round,
    n: run.last_seq,
    at: now,
    body: { type: 'run', status, reason },
  })
  return true
}

/** By what `resumeRun` left. */
export async function findResume(
  from: StoreDatabase['read'],
  { id, round }: { id: string; round: number },
): Promise<{ seq: number; from?: string } | undefined> {
  if (round === 0) return undefined
  const told = await from
    .selectFrom('run_events')
    .select('seq')
    .where('run_id', '=', id)
    .where('source', '=', 'store')
    .where('epoch', '=', round)
    .orderBy('seq')
    .executeTakeFirst()
  const start = await from
    .selectFrom('commands')
    .select('from_step')
    .where('run_id', '=', id)
    .where('round', '=', round)
    .where('kind', '=', 'start')
    .executeTakeFirst()
  if (told === undefined) return undefined
  return { seq: told.seq, ...(typeof start?.from_step === 'string' ? { from: start.from_step } : {}) }
}

function refuseOther(from: string | null, input: ResumeRun): false {
  if (from === (input.from ?? null)) return false
  throw new BelayError({
    code: 'conflict',
    message: `this Idempotency-Key retried the run ${from === null ? 'as it was' : `from "${from}"`}`,
    hint: 'Use a new key for a new request.',
  })
}

function dataOf({ from, reason, key }: ResumeRun): Record<string, string> {
  return { ...(from === undefined ? {} : { from }), ...(reason === undefined ? {} : { reason }), request: key }
}

function describe({ actor, from, reason }: ResumeRun): string {
  return `retried by ${actor.name}${from === undefined ? '' : ` from "${from}"`}${reason === undefined ? '' : `: ${reason}`}`
}
