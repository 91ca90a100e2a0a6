import { BelayError } from '../../domain/errors.ts'
import type { LogInfo, LogKey } from '../store.ts'
import type { StoreDatabase } from './database.ts'
import type { LogTable } from './schema.ts'

/** The rows of logs: what of the files is committed. */
export interface LogRows {
  find(key: LogKey): Promise<LogInfo | undefined>
  /** Throws `stale` if the same attempt and part has a log of a higher epoch, `not_found` if there is no such run. */
  checkWriter(key: LogKey): Promise<void>
  /** Commits `next` if the log still ends at `from` (0: makes the row). False: another process was faster. */
  commit(key: LogKey, from: number, next: { sizeBytes: number; closed: boolean; truncated: boolean }): Promise<boolean>
  list(runId: string, step: string): Promise<LogInfo[]>
}

export function createLogRows(database: StoreDatabase): LogRows {
  const { read } = database
  return {
    async find(key) {
      const row = await selectLog(read, key).executeTakeFirst()
      return row === undefined ? undefined : toLogInfo(row)
    },
    checkWriter: (key) => checkWriter(read, key),
    commit: (key, from, next) =>
      database.write(async (tx) => {
        // Once more, inside: what was read before the bytes were written may be old by now.
        await checkWriter(tx, key)
        const row = await selectLog(tx, key).executeTakeFirst()
        if ((row?.size_bytes ?? 0) !== from) return false
        const now = database.now()
        const values = {
          size_bytes: next.sizeBytes,
          closed: next.closed ? 1 : 0,
          truncated: next.truncated ? 1 : 0,
          updated_at: now,
        }
        await tx
          .insertInto('logs')
          .values({ ...columnsOf(key), ...values, created_at: now })
          .onConflict((conflict) => conflict.columns(['run_id', 'step', 'attempt', 'part', 'epoch']).doUpdateSet(values))
          .execute()
        return true
      }),
    async list(runId, step) {
      const rows = await read
        .selectFrom('logs')
        .selectAll()
        .where('run_id', '=', runId)
        .where('step', '=', step)
        .orderBy('attempt')
        .orderBy('epoch')
        .orderBy('part')
        .execute()
      return rows.map(toLogInfo)
    },
  }
}

async function checkWriter(from: StoreDatabase['read'], key: LogKey): Promise<void> {
  const newest = await from
    .selectFrom('logs')
    .select('epoch')
    .where('run_id', '=', key.runId)
    .where('step', '=', key.step)
    .where('attempt', '=', key.attempt)
    .where('part', '=', key.part)
    .orderBy('epoch', 'desc')
    .limit(1)
    .executeTakeFirst()
  if (newest !== undefined && newest.epoch > key.epoch) throw staleLog(key, newest.epoch)
  if (newest !== undefined) return
  const run = await from.selectFrom('runs').select('id').where('id', '=', key.runId).executeTakeFirst()
  if (run === undefined) throw new BelayError({ code: 'not_found', message: `there is no run ${key.runId}` })
}

function staleLog(key: LogKey, newest: number): BelayError {
  return new BelayError({
    code: 'stale',
    message: `the log of ${key.step} goes on under epoch ${String(newest)}, not ${String(key.epoch)}`,
    hint: 'The workspace was given out again: this writer has to stop.',
  })
}

function columnsOf(key: LogKey) {
  return { run_id: key.runId, step: key.step, attempt: key.attempt, part: key.part, epoch: key.epoch }
}

function selectLog(from: StoreDatabase['read'], key: LogKey) {
  return from
    .selectFrom('logs')
    .selectAll()
    .where('run_id', '=', key.runId)
    .where('step', '=', key.step)
    .where('attempt', '=', key.attempt)
    .where('part', '=', key.part)
    .where('epoch', '=', key.epoch)
}

function toLogInfo(row: LogTable): LogInfo {
  return {
    runId: row.run_id,
    step: row.step,
    attempt: row.attempt,
    epoch: row.epoch,
    part: row.part,
    sizeBytes: row.size_bytes,
    closed: row.closed === 1,
    truncated: row.truncated === 1,
  }
}
