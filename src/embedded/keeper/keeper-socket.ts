import { tmpdir } from 'node:os'
import { shortHash } from '../../config/places.ts'

/** The kernel takes about 100 bytes of a socket's path, so it lies in the temporary directory and not below the data. */
const longestPath = 100

/** Where the keeper of this state directory listens. The same directory gives the same path. */
export function keeperSocket(keeperDirectory: string): string {
  const name = `belay-${shortHash(keeperDirectory)}/keeper.sock`
  const path = `${tmpdir()}/${name}`
  return path.length <= longestPath ? path : `/tmp/${name}`
}
