/** One owner for a directory: an SQLite file locked exclusively for as long as the process lives, and no longer. */
import { readFileSync, writeFileSync } from 'node:fs'
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
  writeFileSync(`${file}.holder`, `process ${String(process.pid)}, since ${new Date().toISOString()}`)
  return {
    release() {
      database.exec('ROLLBACK')
      database.close()
    },
  }
}

function holderOf(file: string): string {
  try {
    return readFileSync(`${file}.holder`, 'utf8')
  } catch {
    return 'another process'
  }
}
