import { BelayError } from '../../domain/errors.ts'

/**
 * Checks a path (or glob) that is to stay inside the checkout: relative, `/`-separated, without `..`, and not in Git's own
 * directory. Returns it without a leading `./`; `dist/` keeps its slash. Throws `refused`.
 */
export function checkInnerPath(path: string): string {
  const inner = path.replace(/^(?:\.\/+)+/, '')
  const parts = inner.split('/')
  const bad =
    inner === '' ||
    inner.startsWith('/') ||
    inner.includes('\0') ||
    parts.includes('..') ||
    parts[0]?.toLowerCase() === '.git' ||
    parts.slice(0, -1).includes('')
  if (!bad) return inner
  throw new BelayError({
    code: 'refused',
    message: `${JSON.stringify(path)} is not a path inside the checkout`,
    hint: 'Write it relative to the root of the repository, without "..".',
  })
}
