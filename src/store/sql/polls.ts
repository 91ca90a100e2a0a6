import type { Trigger } from '../../domain/trigger.ts'
import type { PollStore } from '../store.ts'
import { topics } from '../topics.ts'
import type { StoreDatabase, Tx } from './database.ts'
import { fromJson } from './json.ts'
import { lock, locks } from './lock.ts'
import type { RunTable } from './schema.ts'
import { polledKey, polledPrefix, startRun } from './start-run.ts'

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
        const row = await findHead(tx, { project, branch })
        if (row?.sha === sha) return
        // Somebody noted another head since the caller looked: what it saw may be the older one.
        if (trigger !== undefined && row?.sha !== known) return
        await writeHead(tx, { project, branch, sha, now })
        if (trigger === undefined) return
        // A branch may come back to a commit that ran before: that is a move of its own.
        await startRun(tx, { project, trigger, key: polledKey({ branch, sha, since: row?.seen_at ?? 0 }), now })
        tell(topics.commands)
      })
    },
  }
}

/**
 * A hook tells of a push, in the transaction that takes it: the run that polling has started for the same move of the branch,
 * which no other delivery has taken; it is this delivery's from here on. Undefined: polling has not seen the push, or the
 * branch has moved since; the head is noted.
 */
export async function takePolledRun(tx: Tx, push: TakePolled): Promise<RunTable | undefined> {
  const { project, now } = push
  const { event, ref, branch, sha } = push.trigger
  // Polling sees branches, and nothing else.
  if (event !== 'push' || ref !== `refs/heads/${branch}`) return undefined
  const head = await findHead(tx, { project, branch })
  if (head?.sha === sha) return take(tx, push)
  await noteHead(tx, { project, branch, sha, now })
  return undefined
}

/**
 * A hook tells where a branch is, in the transaction that takes it: polling is not to see that as new. Nothing is noted in a
 * project that was never polled, whose first look must still find everything there unknown.
 */
export async function noteHead(tx: Tx, head: Head): Promise<void> {
  if (await isPolled(tx, head.project)) await writeHead(tx, head)
}

interface Head {
  project: string
  branch: string
  sha: string
  now: number
}

interface TakePolled {
  project: string
  trigger: Trigger
  deliveryRowId: string
  now: number
}

async function take(tx: Tx, { project, trigger, deliveryRowId }: TakePolled): Promise<RunTable | undefined> {
  // People's runs aside: whatever moved the branch last.
  const newest = await tx
    .selectFrom('runs')
    .selectAll()
    .where('project', '=', project)
    .where('branch', '=', trigger.branch)
    .where('first_run_id', 'is', null)
    .where((row) => row.or([row('start_key', 'is', null), row('start_key', 'like', `${polledPrefix}%`)]))
    .orderBy('sequence', 'desc')
    .limit(1)
    .executeTakeFirst()
  if (newest === undefined || newest.start_key === null || newest.delivery_row_id !== null) return undefined
  if (fromJson(newest.trigger_json).sha !== trigger.sha) return undefined
  await tx.updateTable('runs').set({ delivery_row_id: deliveryRowId }).where('id', '=', newest.id).execute()
  return newest
}

function findHead(tx: Tx, { project, branch }: { project: string; branch: string }) {
  return tx
    .selectFrom('polls')
    .select(['sha', 'seen_at'])
    .where('project', '=', project)
    .where('branch', '=', branch)
    .executeTakeFirst()
}

async function isPolled(tx: Tx, project: string): Promise<boolean> {
  const any = await tx.selectFrom('polls').select('sha').where('project', '=', project).limit(1).executeTakeFirst()
  return any !== undefined
}

async function writeHead(tx: Tx, { project, branch, sha, now }: Head): Promise<void> {
  await tx
    .insertInto('polls')
    .values({ project, branch, sha, seen_at: now })
    .onConflict((conflict) => conflict.columns(['project', 'branch']).doUpdateSet({ sha, seen_at: now }))
    .execute()
}
