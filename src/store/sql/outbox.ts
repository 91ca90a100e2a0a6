import type { LeasedItem, OutboxItem, OutboxStore } from '../store.ts'
import { topics } from '../topics.ts'
import type { StoreDatabase, Tx } from './database.ts'
import { fromJson, present } from './json.ts'
import { limitOf, pageOf, positionOf } from './pages.ts'
import type { OutboxTable } from './schema.ts'

type Leased = Parameters<OutboxStore['done']>[0]

export function createOutboxStore(database: StoreDatabase): OutboxStore {
  const { read, hub, now } = database

  async function settle({ id, version, lease: held }: Leased, values: Partial<OutboxTable>): Promise<void> {
    await database.write(async (tx, tell) => {
      const end = (changes: Partial<OutboxTable>) =>
        tx
          .updateTable('outbox')
          .set({ ...changes, lease_owner: null, lease_until: null, leased_version: null })
          .where('id', '=', id)
          .where('lease_owner', '=', held.owner)
          .where('lease_until', '=', held.until)
          .where('leased_version', '=', version)
      const settled = await end(values).where('version', '=', version).where('done_at', 'is', null).executeTakeFirst()
      // Replaced on its way: what replaced it has waited for this lease.
      if (settled.numUpdatedRows === 0n) await end({}).execute()
      tell(topics.outbox)
    })
  }

  return {
    async lease(input) {
      // Looked at without the write lock first: an idle sender writes nothing.
      if ((await selectDue(read, now(), 1).execute()).length === 0) return []
      return database.write((tx) => lease(tx, { ...input, now: now() }))
    },
    async done(item, error) {
      const given = error === undefined ? { error: null, given_up: 0 } : { error, given_up: 1 }
      await settle(item, { done_at: now(), ...given })
    },
    async retry(item, { retryAt, error }) {
      await settle(item, { due_at: retryAt, error })
    },
    async wait(timeoutMs) {
      const dueInMs = (await nextDueAt(database)) - now()
      const soonest = Math.max(0, Math.min(timeoutMs, dueInMs))
      const isReady = async () => (await selectDue(read, now(), 1).execute()).length > 0
      await hub.wait(topics.outbox, { timeoutMs: soonest, isReady })
    },
    async list(request) {
      const limit = limitOf(request)
      const rows = await selectUnsent(database, request)
        .limit(limit + 1)
        .execute()
      return pageOf(
        rows,
        limit,
        (row) => [row.created_at, row.id],
        (row) => ({ ...toItem(row), ...present({ error: row.error }), givenUp: row.given_up === 1 }),
      )
    },
  }
}

async function lease(tx: Tx, input: { owner: string; leaseMs: number; limit: number; now: number }): Promise<LeasedItem[]> {
  const due = await selectDue(tx, input.now, input.limit).forUpdate().skipLocked().execute()
  const ids = due.map(({ id }) => id)
  if (ids.length === 0) return []
  const held = { owner: input.owner, until: input.now + input.leaseMs }
  await tx
    .updateTable('outbox')
    .set((row) => ({
      lease_owner: held.owner,
      lease_until: held.until,
      leased_version: row.ref('version'),
      attempts: row('attempts', '+', 1),
    }))
    .where('id', 'in', ids)
    .execute()
  return due.map((row) => ({ ...toItem(row), lease: held }))
}

/** What was tried least comes first: a forge that is silent must not hold up the news of all others. */
function selectDue(from: StoreDatabase['read'], now: number, limit: number) {
  return (
    from
      .selectFrom('outbox')
      .selectAll()
      .where('done_at', 'is', null)
      .where('due_at', '<=', now)
      .where((row) => row.or([row('lease_until', 'is', null), row('lease_until', '<=', now)]))
      // The order of the index of what is undone.
      .orderBy('attempts')
      .orderBy('due_at')
      .orderBy('id')
      .limit(limit)
  )
}

/** When the next one comes due or its lease ends; Infinity if nothing is owed. */
async function nextDueAt({ read }: StoreDatabase): Promise<number> {
  const rows = await read.selectFrom('outbox').select(['due_at', 'lease_until']).where('done_at', 'is', null).execute()
  return rows.reduce((soonest, row) => Math.min(soonest, Math.max(row.due_at, row.lease_until ?? 0)), Infinity)
}

function selectUnsent({ read }: StoreDatabase, request: Parameters<OutboxStore['list']>[0]) {
  const position = positionOf(request)
  let query = read
    .selectFrom('outbox')
    .selectAll()
    .where((row) => row.or([row('done_at', 'is', null), row('given_up', '=', 1)]))
  if (position !== undefined) {
    const [createdAt, id] = [position[0], Number(position[1])]
    query = query.where((row) =>
      row.or([row('created_at', '<', createdAt), row.and([row('created_at', '=', createdAt), row('id', '<', id)])]),
    )
  }
  return query.orderBy('created_at', 'desc').orderBy('id', 'desc')
}

function toItem(row: OutboxTable): OutboxItem {
  return {
    id: row.id,
    version: row.version,
    payload: fromJson(row.payload),
    attempts: row.attempts,
    createdAt: row.created_at,
  }
}
