import { chmodSync, existsSync, mkdirSync, writeFileSync } from 'node:fs'
import type { Places } from '../../config/places.ts'
import { acquireHostLock, type HostLock } from '../../process/host-lock.ts'

/**
 * Makes the directories and takes the data directory for this process. Throws `conflict` with who holds it. The data
 * directory is 0700 whatever it was; what lies in `work` is for the user that steps run as.
 */
export function takeDataDirectory(places: Places, options: { root: boolean }): HostLock {
  mkdirSync(places.data, { recursive: true })
  chmodSync(places.data, 0o700)
  const lock = acquireHostLock(`${places.data}/up.lock`, `the data directory ${places.data}`)
  keepOutOfGit(places.data)
  for (const directory of [places.temporal, places.keeper, places.runner, places.partLogs, places.images]) {
    mkdirSync(directory, { recursive: true, mode: 0o700 })
  }
  for (const directory of [places.work, places.workspaces, places.apps]) {
    mkdirSync(directory, { recursive: true })
    // Passable, and not to be listed: one step must not find the directories of another.
    chmodSync(directory, options.root ? 0o711 : 0o700)
  }
  return lock
}

/** It may lie in a repository, and it holds tokens. Pipelines may lie in the same directory. */
function keepOutOfGit(data: string): void {
  const file = `${data}/.gitignore`
  if (!existsSync(file)) writeFileSync(file, '*\n!*.yml\n')
}
