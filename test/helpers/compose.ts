import { spawnSync } from 'node:child_process'

/** Why there can be no docker-compose here; undefined if there can. */
export function composeMissing(): string | undefined {
  const asked = spawnSync('docker-compose', ['version', '--short'], { encoding: 'utf8', timeout: 30_000 })
  return asked.status === 0 ? undefined : 'docker-compose is not installed: apt-get install docker-compose'
}
