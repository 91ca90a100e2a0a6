import type { PollStore } from '../store.ts'
import { topics } from '../topics.ts'
import type { StoreDatabase } from './database.ts'
import { lock, locks } from './lock.ts'
import { startRun } from './start-run.ts'

export function createPollStore(database: StoreDatabase): PollStore {
  return {
    async heads(project) {
      const rows = await database.read.selectFrom('polls').select(['branch', 'sha']).where('project', '=', project).execute()
      return Object.fromEntries(rows.map(({ branch, sha }) => [branch, sha]))
    },
    async seen({ project, branch, sha, trigger, known }) {
      await database.write(async (tx, tell) => {
        await lock(tx, locks.queue)
        const now = database.now()
        const row = await tx
          .selectFrom('polls')
          .select(['sha', 'seen_at'])
          .where('project', '=', project)
          .where('branch', '=', branch)
          .executeTakeFirst()
        if (row?.sha === sha) return
        // Somebody noted another head since the caller looked: what it saw may be the older one.
        if (trigger !== undefined && row?.sha !== known) return
        await tx
          .insertInto('polls')
          .values({ project, branch, sha, seen_at: now })
          .onConflict((conflict) => conflict.columns(['project', 'branch']).doUpdateSet({ sha, seen_at: now }))
          .execute()
        if (trigger === undefined) return
        // A branch may come back to a commit that ran before: that is a move of its own.
        await startRun(tx, { project, trigger, key: `poll/${branch}/${sha}/${String(row?.seen_at ?? 0)}`, now })
        tell(topics.commands)
      })
    },
  }
}
