import type { AuditStore } from '../store.ts'
import { counters, nextNumber } from './counters.ts'
import type { StoreDatabase, Tx } from './database.ts'
import { fromJson, toJson } from './json.ts'
import { limitOf, pageOf, positionOf } from './pages.ts'

export function createAuditStore(database: StoreDatabase): AuditStore {
  return {
    async write({ actor, action, subject, data }) {
      await database.write((tx) =>
        writeAudit(tx, { at: database.now(), actor, action, subject, ...(data === undefined ? {} : { data }) }),
      )
    },
    async list(request) {
      const limit = limitOf(request)
      const position = positionOf(request)
      let query = database.read.selectFrom('audit').selectAll()
      if (position !== undefined) query = query.where('seq', '<', position[0])
      const rows = await query
        .orderBy('seq', 'desc')
        .limit(limit + 1)
        .execute()
      return pageOf(
        rows,
        limit,
        (row) => [row.seq, 0],
        (row) => ({ ...row, data: fromJson(row.data) }),
      )
    },
  }
}

type Entry = Parameters<AuditStore['write']>[0] & { at: number }

/** For what is done in the same transaction. */
export async function writeAudit(tx: Tx, { at, actor, action, subject, data = {} }: Entry): Promise<void> {
  const seq = await nextNumber(tx, counters.audit)
  await tx
    .insertInto('audit')
    .values({ seq, at, actor, action, subject, data: toJson(data) })
    .execute()
}
