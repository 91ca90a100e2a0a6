import { chmodSync, lstatSync, mkdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname } from 'node:path'
import { shortHash } from '../../config/places.ts'
import { BelayError } from '../../domain/errors.ts'

/** The kernel takes about 100 bytes of a socket's path, so it lies in the temporary directory and not below the data. */
const longestPath = 100

/** Where the keeper of this state directory listens. The same directory gives the same path. */
export function keeperSocket(keeperDirectory: string): string {
  const name = `belay-${shortHash(keeperDirectory)}/keeper.sock`
  const path = `${tmpdir()}/${name}`
  return path.length <= longestPath ? path : `/tmp/${name}`
}

/** Makes the socket's directory, 0700 and ours; somebody else's directory of that name is refused. */
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
