import type { Swept } from '../../domain/keep.ts'
import { batches, type SweepContext } from './context.ts'
import { loadNeeded } from './needed.ts'

/** Whoever had found it just before it was marked has told its environment by then. */
const markedForMs = 60 * 60_000

/**
 * Marks the releases whose image and artifacts are to go: nobody can deploy them from then on. A later sweep lets their files go.
 * Their rows stay for as long as their runs.
 */
export async function* sweepReleases(context: SweepContext): AsyncGenerator<Swept> {
  const { database, now, keep, dry } = context
  if (!dry) await settleMarked(context)
  const needed = await loadNeeded(database.read)
  const rows = await database.read
    .selectFrom('releases')
    .innerJoin('runs', 'runs.id', 'releases.run_id')
    .select('releases.id')
    .where('removed_at', 'is', null)
    .where('ended_at', '<', now - keep.artifactsMs)
    .execute()
  const going = rows.map(({ id }) => id).filter((id) => !needed.has(id))
  if (dry) yield { kind: 'releases', count: going.length, bytes: 0 }
  else for (const ids of batches(going)) yield { kind: 'releases', count: await mark(context, ids), bytes: 0 }
}

async function mark({ database, now }: SweepContext, ids: readonly string[]): Promise<number> {
  return database.write(async (tx) => {
    const needed = await loadNeeded(tx)
    const going = ids.filter((id) => !needed.has(id))
    if (going.length === 0) return 0
    await tx.updateTable('releases').set({ removed_at: now }).where('id', 'in', going).execute()
    return going.length
  })
}

/** What was marked and is needed after all, is as it was; what has waited for long enough is let go. */
async function settleMarked({ database, now }: SweepContext): Promise<void> {
  await database.write(async (tx) => {
    const needed = await loadNeeded(tx)
    const rows = await tx
      .selectFrom('releases')
      .select(['id', 'removed_at'])
      .where('removed_at', 'is not', null)
      .where('let_go_at', 'is', null)
      .execute()
    const back = rows.filter(({ id }) => needed.has(id))
    const over = rows.filter(({ id, removed_at: at }) => !needed.has(id) && at !== null && at <= now - markedForMs)
    const change = async (some: typeof rows, values: { removed_at: null } | { let_go_at: number }) => {
      for (const batch of batches(some))
        await tx
          .updateTable('releases')
          .set(values)
          .where(
            'id',
            'in',
            batch.map(({ id }) => id),
          )
          .execute()
    }
    await change(back, { removed_at: null })
    await change(over, { let_go_at: now })
  })
}
