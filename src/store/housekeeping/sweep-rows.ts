/** Rows without files. */
import { sql } from 'kysely'
import { defaults } from '../../domain/defaults.ts'
import type { Swept, SweepKind } from '../../domain/keep.ts'
import type { StoreDatabase, Tx } from '../sql/database.ts'
import { lock, locks } from '../sql/lock.ts'
import { batchSize, dayMs, oldestOpenRun, type SweepContext } from './context.ts'

export function sweepDeliveries(context: SweepContext): AsyncGenerator<Swept> {
  const receivedBefore = context.now - context.keep.deliveriesMs
  const select = (from: StoreDatabase['read']) =>
    from
      .selectFrom('deliveries')
      .where('received_at', '<', receivedBefore)
      .where(({ not, exists, selectFrom }) => {
        const open = selectFrom('runs').select('runs.id').whereRef('delivery_row_id', '=', 'deliveries.id')
        return not(exists(open.where('ended_at', 'is', null)))
      })
  return sweepRows(context, 'deliveries', {
    count: () => select(context.database.read).select(countOf).executeTakeFirstOrThrow(),
    async remove(tx) {
      await lock(tx, locks.queue)
      const rows = await select(tx).select('id').orderBy('received_at').limit(batchSize).execute()
      const ids = rows.map(({ id }) => id)
      if (ids.length === 0) return 0
      // Without its key no other delivery takes a run of polling's that this one took.
      const forgotten = { delivery_row_id: null, start_key: null }
      await tx.updateTable('runs').set(forgotten).where('delivery_row_id', 'in', ids).execute()
      await tx.deleteFrom('deliveries').where('id', 'in', ids).execute()
      return ids.length
    },
  })
}

export function sweepPlans(context: SweepContext): AsyncGenerator<Swept> {
  const createdBefore = context.now - context.keep.runsMs
  const select = (from: StoreDatabase['read']) =>
    from
      .selectFrom('plans')
      .where('created_at', '<', createdBefore)
      .where(({ not, exists, selectFrom }) =>
        not(exists(selectFrom('runs').select('runs.id').whereRef('plan_digest', '=', 'plans.digest'))),
      )
  return sweepRows(context, 'plans', {
    count: () => select(context.database.read).select(countOf).executeTakeFirstOrThrow(),
    async remove(tx) {
      const rows = await select(tx).select('digest').limit(batchSize).execute()
      const digests = rows.map(({ digest }) => digest)
      if (digests.length === 0) return 0
      // Looked at once more: a run that has just taken it has made it young.
      const { numDeletedRows } = await tx
        .deleteFrom('plans')
        .where('digest', 'in', digests)
        .where('created_at', '<', createdBefore)
        .executeTakeFirst()
      return Number(numDeletedRows)
    },
  })
}

/** Those of a run that goes on stay: they say how it was begun, and with which keys it was retried. */
export function sweepCommands(context: SweepContext): AsyncGenerator<Swept> {
  const doneBefore = context.now - defaults.deliveredRowsMs
  const select = (from: StoreDatabase['read']) =>
    from
      .selectFrom('commands')
      .where('done_at', '<', doneBefore)
      .where(({ not, exists, selectFrom }) => {
        const open = selectFrom('runs').select('runs.id').whereRef('runs.id', '=', 'commands.run_id')
        return not(exists(open.where('ended_at', 'is', null)))
      })
  return sweepRows(context, 'commands', {
    count: () => select(context.database.read).select(countOf).executeTakeFirstOrThrow(),
    async remove(tx) {
      const rows = await select(tx).select('id').orderBy('id').limit(batchSize).execute()
      const ids = rows.map(({ id }) => id)
      if (ids.length > 0) await tx.deleteFrom('commands').where('id', 'in', ids).execute()
      return ids.length
    },
  })
}

/** A row that was delivered says which run was told last: while an older run goes on it keeps that one from having the last word. */
export async function* sweepOutbox(context: SweepContext): AsyncGenerator<Swept> {
  const doneBefore = Math.min(context.now - defaults.deliveredRowsMs, await oldestOpenRun(context))
  const select = (from: StoreDatabase['read']) => from.selectFrom('outbox').where('done_at', '<', doneBefore)
  yield* sweepRows(context, 'outbox', {
    count: () => select(context.database.read).select(countOf).executeTakeFirstOrThrow(),
    async remove(tx) {
      const rows = await select(tx).select('id').orderBy('id').limit(batchSize).execute()
      const ids = rows.map(({ id }) => id)
      if (ids.length === 0) return 0
      // Replaced meanwhile, it is to be delivered again.
      const { numDeletedRows } = await tx
        .deleteFrom('outbox')
        .where('id', 'in', ids)
        .where('done_at', '<', doneBefore)
        .executeTakeFirst()
      return Number(numDeletedRows)
    },
  })
}

export function sweepSegmentTokens(context: SweepContext): AsyncGenerator<Swept> {
  const expiredBefore = context.now - dayMs
  const select = (from: StoreDatabase['read']) => from.selectFrom('segment_tokens').where('expires_at', '<', expiredBefore)
  return sweepRows(context, 'segment_tokens', {
    count: () => select(context.database.read).select(countOf).executeTakeFirstOrThrow(),
    async remove(tx) {
      const rows = await select(tx).select('hash').orderBy('expires_at').limit(batchSize).execute()
      const hashes = rows.map(({ hash }) => hash)
      if (hashes.length > 0) await tx.deleteFrom('segment_tokens').where('hash', 'in', hashes).execute()
      return hashes.length
    },
  })
}

const countOf = sql<number>`count(*)`.as('count')

interface Rows {
  count(): Promise<{ count: number }>
  /** One batch; how many went. */
  remove(tx: Tx): Promise<number>
}

async function* sweepRows({ database, dry }: SweepContext, kind: SweepKind, rows: Rows): AsyncGenerator<Swept> {
  if (dry) {
    yield { kind, count: (await rows.count()).count, bytes: 0 }
    return
  }
  for (;;) {
    const count = await database.write(rows.remove)
    if (count === 0) return
    yield { kind, count, bytes: 0 }
  }
}
