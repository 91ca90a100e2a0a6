import type { Trigger } from '../../domain/trigger.ts'
import { counters, nextNumber } from './counters.ts'
import type { Tx } from './database.ts'
import { fromJson } from './json.ts'
import { lock, locks } from './lock.ts'
import { insertRun } from './new-run.ts'
import { loadRunRow } from './run-row.ts'
import type { RunTable } from './schema.ts'

export interface StartRun {
  project: string
  trigger: Trigger
  /** The same key starts nothing new in this project. */
  key: string
  pipeline?: string | undefined
  now: number
}

export const polledPrefix = 'poll/'

/** Of a run that polling started: names one move of a branch. `since`: when the head before it was noted. */
export function polledKey({ branch, sha, since }: { branch: string; sha: string; since: number }): string {
  return `${polledPrefix}${branch}/${sha}/${String(since)}`
}

/** A run that a person, the API or polling asked for. The key's first run, if there is one already. */
export async function startRun(tx: Tx, input: StartRun): Promise<{ run: RunTable; isNew: boolean }> {
  await lock(tx, locks.queue)
  const known = await tx
    .selectFrom('runs')
    .selectAll()
    .where('project', '=', input.project)
    .where('start_key', '=', input.key)
    .executeTakeFirst()
  if (known !== undefined) return { run: known, isNew: false }
  const sequence = await nextNumber(tx, counters.trigger)
  const { project, trigger, pipeline, key, now } = input
  return { run: await insertRun(tx, { project, trigger, pipeline, sequence, now, startKey: key }), isNew: true }
}

/** Runs for further pipelines of the same trigger: same sequence, numbers of their own. */
export async function startSiblings(tx: Tx, input: { runId: string; pipelines: readonly string[]; now: number }): Promise<void> {
  await lock(tx, locks.queue)
  const run = await loadRunRow(tx, input.runId)
  const firstRunId = run.first_run_id ?? run.id
  const known = await tx.selectFrom('runs').select('pipeline').where('first_run_id', '=', firstRunId).execute()
  const missing = new Set(input.pipelines)
  for (const { pipeline } of known) if (pipeline !== null) missing.delete(pipeline)
  const first = await loadRunRow(tx, firstRunId)
  for (const pipeline of missing) {
    await insertRun(tx, {
      project: first.project,
      trigger: fromJson(first.trigger_json),
      sequence: first.sequence,
      now: input.now,
      pipeline,
      firstRunId,
      deliveryRowId: first.delivery_row_id ?? undefined,
    })
  }
}
