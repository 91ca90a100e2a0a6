import type { Swept } from '../../domain/keep.ts'
import { toLogKey } from '../sql/log-rows.ts'
import { batchSize, dayMs, type SweepContext } from './context.ts'

export async function* sweepLogs(context: SweepContext): AsyncGenerator<Swept> {
  if (context.dry) yield await countAll(context)
  else yield* removeAll(context)
}

function selectGoing({ database, now, keep }: SweepContext) {
  return database.read
    .selectFrom('logs')
    .innerJoin('runs', 'runs.id', 'logs.run_id')
    .where('runs.ended_at', '<', now - keep.logsMs)
}

async function countAll(context: SweepContext): Promise<Swept> {
  const all = await selectGoing(context)
    .select((row) => [row.fn.countAll().as('count'), row.fn.sum('size_bytes').as('bytes')])
    .executeTakeFirstOrThrow()
  return { kind: 'logs', count: Number(all.count), bytes: Number(all.bytes ?? 0) }
}

async function* removeAll(context: SweepContext): AsyncGenerator<Swept> {
  for (;;) {
    const rows = await selectGoing(context).selectAll('logs').limit(batchSize).execute()
    let count = 0
    let bytes = 0
    for (const row of rows) {
      if (!(await context.logs.remove(toLogKey(row)))) continue
      count += 1
      bytes += row.size_bytes
    }
    // Removed by another meanwhile, or all of them gone.
    if (count === 0) return
    yield { kind: 'logs', count, bytes }
  }
}

/** Longer than any append that was cut could be tried again. */
const strayMs = 7 * dayMs

/** What a killed clean-up, or a killed append, left of runs that ended long ago or are not here any more. */
export async function* sweepLogFiles({ database, logs, now, dry }: SweepContext): AsyncGenerator<Swept> {
  const isLongOver = async (runId: string) => {
    const run = await database.read.selectFrom('runs').select('ended_at').where('id', '=', runId).executeTakeFirst()
    return run === undefined || (run.ended_at !== null && run.ended_at < now - strayMs)
  }
  for await (const { runId, files } of logs.listStrays({ writtenBefore: now - strayMs })) {
    const going = files.length > 0 && (await isLongOver(runId)) ? files : []
    const names = going.map(({ name }) => name)
    if (!dry && names.length > 0) await logs.removeStrays(runId, names)
    yield { kind: 'log_files', count: names.length, bytes: going.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0) }
  }
}
