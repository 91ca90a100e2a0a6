/** Why a path could not be copied: the committer's own doing is `refused`, the machine's `unavailable`. */
import { BelayError, messageOf } from '../domain/errors.ts'

/** What the system said of this path, as ours. */
export function explainFault(path: string, error: unknown): BelayError {
  const code = codeOf(error)
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return new BelayError({
      code: 'unavailable',
      message: `there is no room to copy ${JSON.stringify(path)}`,
      hint: "Make room on the runner's disk.",
      retryable: true,
      cause: error,
    })
  }
  if (code === 'ELOOP' || code === 'ENOTDIR' || code === 'EINVAL') return refused(path, 'it changed while it was copied', error)
  if (code === 'EACCES' || code === 'EPERM') return refused(path, 'it cannot be read', error)
  if (code === 'ENAMETOOLONG') return refused(path, 'its path is too long', error)
  const message = `cannot copy ${JSON.stringify(path)}: ${messageOf(error)}`
  return new BelayError({ code: 'unavailable', message, retryable: true, cause: error })
}

export function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined
}

export function refused(path: string, why: string, cause?: unknown): BelayError {
  return new BelayError({
    code: 'refused',
    message: `cannot copy ${JSON.stringify(path)}: ${why}`,
    ...(cause === undefined ? {} : { cause }),
  })
}
