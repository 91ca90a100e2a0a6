import type { PresenceStore } from '../store.ts'
import type { StoreDatabase } from './database.ts'
import { fromJson, toJson } from './json.ts'

export function createPresenceStore(database: StoreDatabase): PresenceStore {
  return {
    async report({ runner, slots, busy, labels, at }) {
      const row = { runner, slots, busy, labels: toJson(labels), seen_at: at }
      await database.write((tx) =>
        tx
          .insertInto('runners')
          .values(row)
          // A report that was overtaken on its way does not turn the clock back.
          .onConflict((conflict) => conflict.column('runner').doUpdateSet(row).where('runners.seen_at', '<=', at))
          .execute(),
      )
    },
    async list() {
      const rows = await database.read.selectFrom('runners').selectAll().orderBy('runner').execute()
      return rows.map(({ runner, slots, busy, labels, seen_at: seenAt }) => ({
        runner,
        slots,
        busy,
        labels: fromJson(labels),
        seenAt,
      }))
    },
  }
}
