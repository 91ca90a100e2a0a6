import type { Hub } from '../hub.ts'
import type { PollStore } from '../store.ts'
import { topics } from '../topics.ts'
import type { StoreDatabase } from './database.ts'
import { startRun } from './start-run.ts'

export function createPollStore(database: StoreDatabase, hub: Hub): PollStore {
  return {
    async heads(project) {
      const rows = await database.read.selectFrom('polls').select(['branch', 'sha']).where('project', '=', project).execute()
      return Object.fromEntries(rows.map(({ branch, sha }) => [branch, sha]))
    },
    async seen({ project, branch, sha, trigger }) {
      await database.write(async (tx) => {
        const now = database.now()
        await tx
          .insertInto('polls')
          .values({ project, branch, sha, seen_at: now })
          .onConflict((conflict) => conflict.columns(['project', 'branch']).doUpdateSet({ sha, seen_at: now }))
          .execute()
        if (trigger !== undefined) await startRun(tx, { project, trigger, key: `poll/${branch}/${sha}`, now })
      })
      if (trigger !== undefined) hub.notify(topics.commands)
    },
  }
}
