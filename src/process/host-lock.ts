/** One owner for a directory: an SQLite file locked exclusively for as long as the process lives, and no longer. */
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import Database from 'libsql'
import { BelayError } from '../domain/errors.ts'

export interface HostLock {
  release(): void
}

/** Takes the lock, or throws `conflict` with who holds it. The kernel gives it back when the holder dies. */
export function acquireHostLock(file: string, what: string): HostLock {
  const database = new Database(file, { timeout: 0 })
  try {
    database.exec('PRAGMA locking_mode = EXCLUSIVE')
    database.exec('BEGIN EXCLUSIVE')
  } catch (error) {
    database.close()
    throw new BelayError({
      code: 'conflict',
      message: `${what} is in use by ${holderOf(file)}`,
      hint: 'Stop it first, or choose another directory.',
      cause: error,
    })
  }
  noteHolder(file)
  return {
    release() {
      database.exec('ROLLBACK')
      database.close()
    },
  }
}

const lockPollMs = 20

/** As `acquireHostLock`, but waits while somebody else has it; the signal over, it throws `conflict` with who that is. */
export async function waitForHostLock(file: string, what: string, signal: AbortSignal): Promise<HostLock> {
  for (;;) {
    try {
      return acquireHostLock(file, what)
    } catch (error) {
      if (!(error instanceof BelayError) || error.code !== 'conflict' || signal.aborted) throw error
      await new Promise((resolve) => setTimeout(resolve, lockPollMs))
    }
  }
}

/** For people only: on a full disk the lock is held without a name. */
function noteHolder(file: string): void {
  try {
    writeFileSync(`${file}.holder`, `process ${String(process.pid)}, since ${new Date().toISOString()}`)
  } catch {
    forgetHolder(file)
  }
}

/** The one before: it is not who has the lock now. */
function forgetHolder(file: string): void {
  try {
    rmSync(`${file}.holder`, { force: true })
  } catch {
    // A wrong name in a message is no reason to go without the lock.
  }
}

function holderOf(file: string): string {
  try {
    return readFileSync(`${file}.holder`, 'utf8')
  } catch {
    return 'another process'
  }
}
