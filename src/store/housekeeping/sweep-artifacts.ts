import type { Swept } from '../../domain/keep.ts'
import { batches, batchSize, dayMs, lockEnded, oldestOpenRun, type RowContext, type SweepContext } from './context.ts'
import { listKeptReleases } from './needed.ts'

/** The rows that say which run left which bytes; the bytes are swept when no row and no release names them. */
export async function* sweepArtifacts(context: RowContext): AsyncGenerator<Swept> {
  const { dry } = context
  const kept = new Set((await listKeptReleases(context)).map(({ runId }) => runId))
  for (let after = ''; ;) {
    const runs = await selectOverRuns(context, after)
    const last = runs.at(-1)
    if (last === undefined) return
    after = last.id
    const going = runs.filter(({ id }) => !kept.has(id))
    const count = dry ? going.reduce((sum, run) => sum + Number(run.count), 0) : await remove(context, going)
    yield { kind: 'artifacts', count, bytes: 0 }
  }
}

/** Of a run that somebody goes on with since it was looked at they stay: its steps need them. */
async function remove({ database, now, keep }: RowContext, runs: readonly { id: string }[]): Promise<number> {
  if (runs.length === 0) return 0
  return database.write(async (tx) => {
    const ids = runs.map(({ id }) => id)
    const going = await lockEnded(tx, ids, now - keep.artifactsMs)
    if (going.length === 0) return 0
    const { numDeletedRows } = await tx.deleteFrom('artifacts').where('run_id', 'in', going).executeTakeFirst()
    return Number(numDeletedRows)
  })
}

/** Runs with artifacts that ended too long ago, in the order of their ids. */
function selectOverRuns({ database, now, keep }: RowContext, after: string) {
  return database.read
    .selectFrom('artifacts')
    .innerJoin('runs', 'runs.id', 'artifacts.run_id')
    .select((row) => ['runs.id', row.fn.countAll().as('count')])
    .where('runs.ended_at', '<', now - keep.artifactsMs)
    .where('runs.id', '>', after)
    .groupBy('runs.id')
    .orderBy('runs.id')
    .limit(batchSize)
    .execute()
}

/**
 * Bytes that nothing names. A blob is put before its row is written, so one that was put since the oldest open run began may
 * still get one: it stays. Who puts blobs that other tables name has to add those in `findNamed`.
 */
export async function* sweepBlobs(context: SweepContext): AsyncGenerator<Swept> {
  const { blobs, now, dry } = context
  const putBefore = Math.min(now - dayMs, await oldestOpenRun(context))
  const releases = await listKeptReleases(context)
  const ofReleases = new Set(releases.flatMap(({ artifacts }) => artifacts.map(({ digest }) => digest)))
  const keptRuns = new Set(releases.map(({ runId }) => runId))
  for await (const files of blobs.list()) {
    const old = files.filter(({ digest, putAt }) => putAt < putBefore && !ofReleases.has(digest))
    yield { kind: 'blobs', count: 0, bytes: 0 }
    for (const some of batches(old)) {
      const named = await findNamed(
        context,
        some.map(({ digest }) => digest),
        keptRuns,
      )
      let [count, bytes] = [0, 0]
      for (const { digest, sizeBytes } of some) {
        if (named.has(digest) || (!dry && !(await blobs.remove(digest, { putBefore })))) continue
        count += 1
        bytes += sizeBytes
      }
      yield { kind: 'blobs', count, bytes }
    }
  }
}

/** Of a dry run: without the rows that would go before. */
async function findNamed(context: SweepContext, digests: string[], keptRuns: ReadonlySet<string>): Promise<Set<string>> {
  const { database, dry, now, keep } = context
  const rows = await database.read
    .selectFrom('artifacts')
    .innerJoin('runs', 'runs.id', 'artifacts.run_id')
    .select(['digest', 'run_id', 'ended_at'])
    .where('digest', 'in', digests)
    .execute()
  const goes = (row: (typeof rows)[number]) =>
    dry && row.ended_at !== null && row.ended_at < now - keep.artifactsMs && !keptRuns.has(row.run_id)
  return new Set(rows.filter((row) => !goes(row)).map(({ digest }) => digest))
}
