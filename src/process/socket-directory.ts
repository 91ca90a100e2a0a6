import { chmodSync, lstatSync, mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import { BelayError } from '../domain/errors.ts'

/** Makes the directory of a Unix socket, 0700 and ours; somebody else's directory of that name is refused. */
export function ensureSocketDirectory(socket: string): void {
  const directory = dirname(socket)
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  const status = lstatSync(directory)
  const owner = process.getuid?.()
  if (!status.isDirectory() || (owner !== undefined && status.uid !== owner)) {
    throw new BelayError({
      code: 'refused',
      message: `${directory} is there already and belongs to somebody else`,
      hint: 'Remove it, or set TMPDIR to a directory of your own.',
    })
  }
  chmodSync(directory, 0o700)
}
