import { sql } from 'kysely'
import { isEndedRun } from '../../domain/run.ts'
import type { RunStatus } from '../../domain/run.ts'
import type { CommitStatusNews } from '../store.ts'
import { topics } from '../topics.ts'
import { counters, nextNumber } from './counters.ts'
import type { Tx, Write } from './database.ts'
import { fromJson, present, toJson } from './json.ts'
import { lock, locks } from './lock.ts'
import type { OutboxTable, RunTable } from './schema.ts'

/**
 * Leaves word of a run's new state for its forge, in the transaction that changes it. A run whose pipeline has no name yet
 * is told when it has one, or when it ends: a forge never forgets a context, so none is made that nothing would end. The one
 * without a name is told of newer runs as well, and of no older one.
 */
export async function leaveCommitStatus(
  write: Write,
  run: RunTable,
  change: { status: RunStatus; reason?: string | null | undefined },
): Promise<void> {
  const { tx } = write
  const news = toNews(run, change)
  if (news.status === 'queued' || (news.pipeline === undefined && !isEndedRun(news.status))) return
  // One lock for all contexts of the commit: whoever writes one may have to write another.
  await lock(tx, locks.outbox(['commit_status', news.project, news.sha].join('/')))
  if (news.pipeline === undefined && (await isOvertaken(tx, run, news))) return
  await leave(write, news, await findKnown(tx, news))
  if (news.pipeline === undefined) return
  const { pipeline: _named, ...nameless } = news
  // An older run that ended without a name left a context that no other run would ever make good.
  const left = await findKnown(tx, nameless)
  if (left !== undefined) await leave(write, nameless, left)
}

/** Does a newer run of this commit go by a name? Nothing would ever make good what this one says without. */
async function isOvertaken(tx: Tx, run: RunTable, { sha }: CommitStatusNews): Promise<boolean> {
  const newer = await tx
    .selectFrom('runs')
    .select('id')
    .where('project', '=', run.project)
    .where('number', '>', run.number)
    .where('status', '<>', 'queued')
    .where((row) => row.or([row('pipeline_name', 'is not', null), row('pipeline', 'is not', null)]))
    // A commit id has nothing that JSON or `like` would read in another way.
    .where(sql<boolean>`trigger_json like ${`%"sha":"${sha}"%`}`)
    .limit(1)
    .executeTakeFirst()
  return newer !== undefined
}

function findKnown(tx: Tx, news: CommitStatusNews): Promise<OutboxTable | undefined> {
  return tx.selectFrom('outbox').selectAll().where('key', '=', keyOf(news)).executeTakeFirst()
}

function keyOf(news: CommitStatusNews): string {
  return ['commit_status', news.project, news.sha, news.pipeline ?? ''].join('/')
}

async function leave({ tx, tell, now }: Write, news: CommitStatusNews, known: OutboxTable | undefined): Promise<void> {
  if (known !== undefined && !replaces(news, known)) return
  const fresh = {
    payload: toJson(news),
    run_number: news.runNumber,
    run_round: news.round ?? 0,
    due_at: now,
    attempts: 0,
    error: null,
    given_up: 0,
    created_at: now,
    done_at: null,
  }
  if (known === undefined) {
    const id = await nextNumber(tx, counters.outbox)
    const row: OutboxTable = { ...fresh, id, key: keyOf(news), kind: news.type, version: 1, ...unleased }
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
    round: run.round === 0 ? undefined : run.round,
  })
}

function replaces(news: CommitStatusNews, known: OutboxTable): boolean {
  if (news.runNumber !== known.run_number) return news.runNumber > known.run_number
  const round = news.round ?? 0
  if (round !== known.run_round) return round > known.run_round
  const { status } = fromJson(known.payload)
  return status !== news.status && !isEndedRun(status)
}
