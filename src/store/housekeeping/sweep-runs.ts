import type { Swept } from '../../domain/keep.ts'
import type { StoreDatabase } from '../sql/database.ts'
import { batchSize, batches, lockEnded, type SweepContext } from './context.ts'
import { loadNeeded } from './needed.ts'

/** A run may have thousands of events. */
const runsAtOnce = 20

export async function* sweepDeployments(context: SweepContext): AsyncGenerator<Swept> {
  const { database, now, keep, dry } = context
  const needed = await loadNeeded(database.read)
  const rows = await database.read
    .selectFrom('deployments')
    .select('id')
    .where('ended_at', '<', now - keep.runsMs)
    .execute()
  const going = rows.map(({ id }) => id).filter((id) => !needed.has(id))
  for (const ids of batches(going)) {
    if (!dry) await database.write((tx) => tx.deleteFrom('deployments').where('id', 'in', ids).execute())
    yield { kind: 'deployments', count: ids.length, bytes: 0 }
  }
}

/** Runs go last of all that is theirs, whole; one whose release an environment needs stays, and so does the first of siblings. */
export async function* sweepRuns(context: SweepContext): AsyncGenerator<Swept> {
  for (;;) {
    let removed = 0
    for (let after = ''; ;) {
      const ids = await listOver(context, after)
      const last = ids.at(-1)
      if (last === undefined) break
      after = last
      for (const some of batches(ids, runsAtOnce)) {
        const count = await removeOrCount(context, some)
        removed += count
        yield { kind: 'runs', count, bytes: 0 }
      }
    }
    // The first of siblings goes once the others are gone, so there may be more.
    if (removed === 0 || context.dry) return
  }
}

async function listOver(context: SweepContext, after: string): Promise<string[]> {
  const page = selectOver(context.database.read, context).where('id', '>', after).orderBy('id').limit(batchSize)
  return (await page.execute()).map(({ id }) => id)
}

/** Nothing is owed to them, and their bytes are gone: those know their run by these rows. */
function selectOver(from: StoreDatabase['read'], { now, keep, dry }: SweepContext) {
  const endedBefore = now - keep.runsMs
  let query = from
    .selectFrom('runs')
    .select('id')
    .where('ended_at', '<', endedBefore)
    .where(({ not, exists, selectFrom }) => {
      const siblings = selectFrom('runs as sibling').select('sibling.id').whereRef('sibling.first_run_id', '=', 'runs.id')
      const staying = siblings.where((row) =>
        row.or([row('sibling.ended_at', 'is', null), row('sibling.ended_at', '>=', endedBefore)]),
      )
      return not(exists(dry ? staying : siblings))
    })
    .where(({ not, exists, selectFrom }) => {
      const owed = selectFrom('commands').select('commands.id').whereRef('commands.run_id', '=', 'runs.id')
      return not(exists(owed.where('done_at', 'is', null)))
    })
  for (const table of ['logs', 'artifacts'] as const) {
    if (dry) break
    query = query.where(({ not, exists, selectFrom }) =>
      not(exists(selectFrom(table).select('created_at').whereRef('run_id', '=', 'runs.id'))),
    )
  }
  return query
}

/** Everything of these runs, in one transaction; those that went on since, or that an environment needs by now, stay. */
async function removeOrCount(context: SweepContext, ids: readonly string[]): Promise<number> {
  const { database, now, keep, dry } = context
  if (dry) return (await withoutNeeded(database.read, ids)).length
  return database.write(async (tx) => {
    const ended = await lockEnded(tx, ids, now - keep.runsMs)
    if (ended.length === 0) return 0
    // Looked at once more, now that nothing can be added to them.
    const over = await selectOver(tx, context).where('id', 'in', ended).execute()
    const going = await withoutNeeded(
      tx,
      over.map(({ id }) => id),
    )
    if (going.length === 0) return 0
    for (const table of ['commands', 'steps', 'run_events', 'segment_tokens', 'holders', 'releases'] as const)
      await tx.deleteFrom(table).where('run_id', 'in', going).execute()
    await tx.deleteFrom('runs').where('id', 'in', going).execute()
    return going.length
  })
}

async function withoutNeeded(from: StoreDatabase['read'], ids: readonly string[]): Promise<string[]> {
  if (ids.length === 0) return []
  const needed = await loadNeeded(from)
  const releases = await from.selectFrom('releases').select(['id', 'run_id']).where('run_id', 'in', ids).execute()
  const staying = new Set(releases.filter(({ id }) => needed.has(id)).map((release) => release.run_id))
  return ids.filter((id) => !needed.has(id) && !staying.has(id))
}
