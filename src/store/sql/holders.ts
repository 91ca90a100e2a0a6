import type { HolderStore } from '../store.ts'
import type { StoreDatabase } from './database.ts'
import { lockRunRow } from './run-row.ts'

export function createHolderStore(database: StoreDatabase): HolderStore {
  return {
    async note({ runId, epoch, runner }) {
      await database.write(async (tx) => {
        const run = await lockRunRow(tx, runId)
        await tx
          .insertInto('holders')
          .values({ run_id: runId, epoch, runner, noted_at: database.now() })
          .onConflict((conflict) => conflict.columns(['run_id', 'epoch']).doNothing())
          .execute()
        if (epoch > run.epoch && run.ended_at === null)
          await tx.updateTable('runs').set({ epoch }).where('id', '=', runId).execute()
      })
    },
    async find(runId, epoch) {
      const rows = await database.read.selectFrom('holders').select(['epoch', 'runner']).where('run_id', '=', runId).execute()
      const row = rows.find((candidate) => candidate.epoch === epoch)
      if (row !== undefined) return { type: 'noted', runner: row.runner }
      return { type: rows.length === 0 ? 'never' : 'none' }
    },
  }
}
