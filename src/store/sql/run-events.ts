import type { StoredRunEvent } from '../../domain/run-event.ts'
import type { WaitInput } from '../hub.ts'
import { topics } from '../topics.ts'
import type { StoreDatabase } from './database.ts'
import { fromJson } from './json.ts'
import type { RunEventTable } from './schema.ts'

const greatestBatch = 1_000

export async function listEvents(
  database: StoreDatabase,
  runId: string,
  { after, limit }: { after: number; limit: number },
): Promise<StoredRunEvent[]> {
  const rows = await database.read
    .selectFrom('run_events')
    .selectAll()
    .where('run_id', '=', runId)
    .where('seq', '>', after)
    .orderBy('seq')
    .limit(Math.min(limit, greatestBatch))
    .execute()
  return rows.map(toEvent)
}

export async function findNewestEvent(database: StoreDatabase, runId: string): Promise<StoredRunEvent | undefined> {
  const row = await database.read
    .selectFrom('run_events')
    .selectAll()
    .where('run_id', '=', runId)
    .orderBy('seq', 'desc')
    .limit(1)
    .executeTakeFirst()
  return row === undefined ? undefined : toEvent(row)
}

function toEvent({ seq, source, epoch, n, at, body }: RunEventTable): StoredRunEvent {
  return { seq, source, epoch, n, at, body: fromJson(body) }
}

export function waitForEvents(
  database: StoreDatabase,
  runId: string,
  input: { after: number } & Omit<WaitInput, 'isReady'>,
): Promise<void> {
  const isReady = async () => {
    const row = await database.read.selectFrom('runs').select('last_seq').where('id', '=', runId).executeTakeFirst()
    return row !== undefined && row.last_seq > input.after
  }
  return database.hub.wait(topics.runEvents(runId), { timeoutMs: input.timeoutMs, signal: input.signal, isReady })
}
