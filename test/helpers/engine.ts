/** The container engine that tests use: the one of DOCKER_HOST, which `npm test` sets, or of this machine. */
import { spawnSync } from 'node:child_process'

/** Why there is none; undefined if one answers. */
export function engineMissing(): string | undefined {
  const asked = spawnSync('docker', ['version', '--format', '{{.Server.Version}}'], { encoding: 'utf8', timeout: 10_000 })
  if (asked.error !== undefined) return 'the program `docker` is not installed'
  if (asked.status === 0 && asked.stdout.trim() !== '') return undefined
  return 'no container engine answers; `npm test` starts one where it may (as root on Debian)'
}
