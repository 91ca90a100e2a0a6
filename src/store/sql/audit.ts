import type { AuditStore } from '../store.ts'
import { counters, nextNumber } from './counters.ts'
import type { StoreDatabase } from './database.ts'
import { fromJson, toJson } from './json.ts'
import { limitOf, pageOf, positionOf } from './pages.ts'

export function createAuditStore(database: StoreDatabase): AuditStore {
  return {
    async write({ actor, action, subject, data }) {
      await database.write(async (tx) => {
        const seq = await nextNumber(tx, counters.audit)
        const row = { seq, at: database.now(), actor, action, subject, data: toJson(data ?? {}) }
        await tx.insertInto('audit').values(row).execute()
      })
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
