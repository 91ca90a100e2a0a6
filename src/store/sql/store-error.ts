import { BelayError, messageOf } from '../../domain/errors.ts'

/** SQLite's result codes (their first word) that time or a person with a shovel may cure; nothing was written. */
const unavailableCodes = new Map([
  ['SQLITE_FULL', 'The disk (or the limit set for the database) is full: free some space.'],
  ['SQLITE_IOERR', 'The disk does not answer: look at the kernel log.'],
  ['SQLITE_BUSY', 'Another process holds the database for too long.'],
  ['SQLITE_LOCKED', 'Another process holds the database for too long.'],
  ['SQLITE_CANTOPEN', 'Does the data directory exist, and may this user write there?'],
  ['SQLITE_READONLY', 'May this user write to the data directory?'],
])

/** What the store throws for a fault of the database: `unavailable` and retryable if it may pass, else `internal`. */
export function toStoreError(error: unknown): unknown {
  const code = sqliteCodeOf(error)
  if (code === undefined) return error
  const hint = unavailableCodes.get(code.split('_').slice(0, 2).join('_'))
  if (hint === undefined) {
    return new BelayError({ code: 'internal', message: `the database refused a statement (${code})`, cause: error })
  }
  return new BelayError({
    code: 'unavailable',
    message: `the database cannot be used now (${code})`,
    hint,
    retryable: true,
    cause: error,
  })
}

/** Did another connection hold the write lock? Asked of an error that `toStoreError` made. */
export function isBusy(error: unknown): boolean {
  return error instanceof BelayError && sqliteCodeOf(error.cause)?.startsWith('SQLITE_BUSY') === true
}

/** Somebody asks while we stop: another process, or the next start, will answer. */
export function storeClosed(): BelayError {
  return new BelayError({ code: 'unavailable', message: 'the store is closed', retryable: true })
}

function sqliteCodeOf(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error)) return undefined
  return typeof error.code === 'string' && error.code.startsWith('SQLITE_') ? error.code : undefined
}

/** The same for files: a full or failing disk is `unavailable`; anything else is passed on as it is. */
export function toFileError(error: unknown, what: string): unknown {
  if (!(error instanceof Error) || !('code' in error)) return error
  const passing = ['ENOSPC', 'EDQUOT', 'EIO', 'EROFS', 'EMFILE', 'ENFILE']
  if (!passing.includes(String(error.code))) return error
  return new BelayError({
    code: 'unavailable',
    message: `${what} cannot be written now (${messageOf(error)})`,
    hint: 'Is the disk full?',
    retryable: true,
    cause: error,
  })
}
