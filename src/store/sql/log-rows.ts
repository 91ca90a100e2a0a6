import { BelayError } from '../../domain/errors.ts'
import type { LogInfo, LogKey } from '../store.ts'
import { topics } from '../topics.ts'
import type { StoreDatabase, Tx } from './database.ts'
import { lock, locks } from './lock.ts'
import type { LogTable } from './schema.ts'

/** The rows of logs: what of the files is committed. */
export interface LogRows {
  find(key: LogKey): Promise<LogInfo | undefined>
  list(runId: string, step: string): Promise<LogInfo[]>
  ofRun(runId: string): Promise<LogInfo[]>
  /**
   * An append: reads the row, writes the bytes, then commits. Where several machines share the files, nobody else appends
   * to the same attempt and part meanwhile, under whatever epoch. `work` may be called again.
   */
  append<T>(key: LogKey, work: (log: LogAppend) => Promise<T>): Promise<T>
  /** The row, if its run has ended. False: it has not, or there is no row. */
  remove(key: LogKey): Promise<boolean>
  /** Calls `work` if there is no row; where several machines share the files, nobody appends meanwhile. */
  ifAbsent(key: LogKey, work: () => Promise<boolean>): Promise<boolean>
}

export interface LogAppend {
  find(): Promise<LogInfo | undefined>
  /** Throws `stale` if the same attempt and part has a log of a higher epoch, `not_found` if there is no such run. */
  checkWriter(): Promise<void>
  /** Commits `next` if the log still ends at `from` (0: makes the row). False: another process was faster. */
  commit(from: number, next: LogEnd): Promise<boolean>
  /** Logs of lower epochs of the same attempt and part that nobody has ended, with how to commit to them. */
  listOpenBefore(): Promise<{ log: LogInfo; commit: LogAppend['commit'] }[]>
}

export interface LogEnd {
  sizeBytes: number
  closed: boolean
  truncated: boolean
}

export function createLogRows(database: StoreDatabase): LogRows {
  const { read } = database
  return {
    find: (key) => findLog(read, key),
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
    async ofRun(runId) {
      return (await read.selectFrom('logs').selectAll().where('run_id', '=', runId).execute()).map(toLogInfo)
    },
    append: (key, work) =>
      database.sharesFiles
        ? database.write(async (tx, tell) => {
            await lock(tx, locks.log(key))
            return work(appendOn(tx, key, (body) => body(tx, tell), database.now))
          })
        : work(appendOn(read, key, database.write, database.now)),
    remove: (key) => database.write((tx) => removeLog(tx, key)),
    ifAbsent: (key, work) =>
      database.sharesFiles
        ? database.write(async (tx) => {
            await lock(tx, locks.log(key))
            return (await findLog(tx, key)) === undefined && (await work())
          })
        : findLog(read, key).then((log) => log === undefined && work()),
  }
}

async function removeLog(tx: Tx, key: LogKey): Promise<boolean> {
  await lock(tx, locks.log(key))
  const run = await tx.selectFrom('runs').select('ended_at').where('id', '=', key.runId).executeTakeFirst()
  if (run === undefined || run.ended_at === null) return false
  const { numDeletedRows } = await tx
    .deleteFrom('logs')
    .where('run_id', '=', key.runId)
    .where('step', '=', key.step)
    .where('attempt', '=', key.attempt)
    .where('part', '=', key.part)
    .where('epoch', '=', key.epoch)
    .executeTakeFirst()
  return numDeletedRows > 0n
}

type From = StoreDatabase['read']
type Write = StoreDatabase['write']

/** On SQLite the bytes are written outside any transaction: it has one connection, and a sync would hold up everybody. */
function appendOn(from: From, key: LogKey, write: Write, now: () => number): LogAppend {
  return {
    find: () => findLog(from, key),
    checkWriter: () => checkWriter(from, key),
    commit: commitOn(key, write, now),
    async listOpenBefore() {
      const rows = await selectAttempt(from, key).selectAll().where('epoch', '<', key.epoch).where('closed', '=', 0).execute()
      return rows.map((row) => ({ log: toLogInfo(row), commit: commitOn(toLogKey(row), write, now) }))
    },
  }
}

function commitOn(key: LogKey, write: Write, now: () => number): LogAppend['commit'] {
  return (end, next) =>
    write(async (tx, tell) => {
      // Once more, inside: what was read before the bytes were written may be old by now.
      await checkWriter(tx, key)
      if (((await findLog(tx, key))?.sizeBytes ?? 0) !== end) return false
      const values = {
        size_bytes: next.sizeBytes,
        closed: next.closed ? 1 : 0,
        truncated: next.truncated ? 1 : 0,
        updated_at: now(),
      }
      await tx
        .insertInto('logs')
        .values({ ...columnsOf(key), ...values, created_at: now() })
        .onConflict((conflict) => conflict.columns(['run_id', 'step', 'attempt', 'part', 'epoch']).doUpdateSet(values))
        .execute()
      tell(topics.log(key.runId, key.step))
      return true
    })
}

async function findLog(from: From, key: LogKey): Promise<LogInfo | undefined> {
  const row = await selectLog(from, key).executeTakeFirst()
  return row === undefined ? undefined : toLogInfo(row)
}

async function checkWriter(from: From, key: LogKey): Promise<void> {
  const newest = await selectAttempt(from, key).select('epoch').orderBy('epoch', 'desc').limit(1).executeTakeFirst()
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

function selectLog(from: From, key: LogKey) {
  return selectAttempt(from, key).selectAll().where('epoch', '=', key.epoch)
}

/** Under whatever epoch. */
function selectAttempt(from: From, key: LogKey) {
  return from
    .selectFrom('logs')
    .where('run_id', '=', key.runId)
    .where('step', '=', key.step)
    .where('attempt', '=', key.attempt)
    .where('part', '=', key.part)
}

export function toLogKey(row: LogTable): LogKey {
  return { runId: row.run_id, step: row.step, attempt: row.attempt, epoch: row.epoch, part: row.part }
}

function toLogInfo(row: LogTable): LogInfo {
  return {
    ...toLogKey(row),
    sizeBytes: row.size_bytes,
    closed: row.closed === 1,
    truncated: row.truncated === 1,
  }
}
