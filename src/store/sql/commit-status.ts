import { isEndedRun } from '../../domain/run.ts'
import type { RunStatus } from '../../domain/run.ts'
import type { CommitStatusNews } from '../store.ts'
import { topics } from '../topics.ts'
import { counters, nextNumber } from './counters.ts'
import type { Write } from './database.ts'
import { fromJson, present, toJson } from './json.ts'
import { lock, locks } from './lock.ts'
import type { OutboxTable, RunTable } from './schema.ts'

/**
 * Leaves word of a run's new state for its forge, in the transaction that changes it. A run whose pipeline has no name yet
 * is told when it has one, or when it ends: a forge never forgets a context, so none is made that nothing would end.
 */
export async function leaveCommitStatus(
  { tx, tell, now }: Write,
  run: RunTable,
  change: { status: RunStatus; reason?: string | null | undefined },
): Promise<void> {
  const news = toNews(run, change)
  if (news.status === 'queued' || (news.pipeline === undefined && !isEndedRun(news.status))) return
  const key = ['commit_status', news.project, news.sha, news.pipeline ?? ''].join('/')
  await lock(tx, locks.outbox(key))
  const known = await tx.selectFrom('outbox').selectAll().where('key', '=', key).executeTakeFirst()
  if (known !== undefined && !replaces(news, known)) return
  const fresh = {
    payload: toJson(news),
    run_number: news.runNumber,
    due_at: now,
    attempts: 0,
    error: null,
    given_up: 0,
    created_at: now,
    done_at: null,
  }
  if (known === undefined) {
    const id = await nextNumber(tx, counters.outbox)
    const row: OutboxTable = { ...fresh, id, key, kind: news.type, version: 1, ...unleased }
    await tx.insertInto('outbox').values(row).execute()
  } else {
    // A lease goes on: two payloads of one key must not be under way at once, or the older may arrive last.
    const version = known.version + 1
    await tx
      .updateTable('outbox')
      .set({ ...fresh, version })
      .where('id', '=', known.id)
      .execute()
  }
  tell(topics.outbox)
}

const unleased = { lease_owner: null, lease_until: null, leased_version: null }

function toNews(run: RunTable, { status, reason }: { status: RunStatus; reason?: string | null | undefined }): CommitStatusNews {
  return present({
    type: 'commit_status' as const,
    project: run.project,
    runId: run.id,
    runNumber: run.number,
    sha: fromJson(run.trigger_json).sha,
    pipeline: run.pipeline_name ?? run.pipeline,
    status,
    reason,
  })
}

function replaces(news: CommitStatusNews, known: OutboxTable): boolean {
  if (news.runNumber !== known.run_number) return news.runNumber > known.run_number
  const { status } = fromJson(known.payload)
  return status !== news.status && !isEndedRun(status)
}
