/** What may be in a checkpoint: nothing that lies, or points, outside of the workspace's own parts. */
import { posix } from 'node:path'
import { BelayError } from '../../domain/errors.ts'
import { checkpointParts, fetchedAgain } from './limits.ts'

/** `checkout/…` or `home/…`, normalised, and nothing of the repository that is fetched again. */
export function checkInside(name: string): string {
  const path = posix.normalize(name).replace(/\/+$/, '')
  const isPart = checkpointParts.some((part) => path === part || path.startsWith(`${part}/`))
  const isFetched = path === fetchedAgain || path.startsWith(`${fetchedAgain}/`)
  if (name.includes('\0') || posix.isAbsolute(name) || !isPart || isFetched) throw refused(name, 'it leaves the workspace')
  return path
}

/** The target of a symlink at `path`, if it stays inside the same part. */
export function checkTarget(path: string, target: string): string {
  const [part = ''] = path.split('/')
  const inside = posix.normalize(posix.join(posix.dirname(path), target))
  const stays = inside === part || inside.startsWith(`${part}/`)
  if (target === '' || target.includes('\0') || posix.isAbsolute(target) || !stays)
    throw refused(path, `its link to ${JSON.stringify(target)} leads out of it`)
  return target
}

export function refused(path: string, why: string, cause?: unknown): BelayError {
  return new BelayError({
    code: 'refused',
    message: `a checkpoint cannot hold ${JSON.stringify(path)}: ${why}`,
    hint: 'It holds regular files, directories, and links that stay inside.',
    ...(cause === undefined ? {} : { cause }),
  })
}
