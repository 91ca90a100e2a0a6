import { createReadStream } from 'node:fs'
import { chmod, mkdir, rename, rm, stat } from 'node:fs/promises'
import { createHash } from 'node:crypto'
import { homedir } from 'node:os'
import { dirname } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { BelayError } from '../../domain/errors.ts'
import { syncDirectory } from '../../process/durable-file.ts'
import { temporalVersion, type TemporalBuild } from './version.ts'

/** Where the fetched program lies: `$XDG_CACHE_HOME/belay/temporal-<version>/temporal`. */
export function temporalCachePath(env: NodeJS.ProcessEnv): string {
  const cache = env['XDG_CACHE_HOME'] || `${env['HOME'] || homedir()}/.cache`
  return `${cache}/belay/temporal-${temporalVersion.cli}/temporal`
}

/** It was verified when it was put there; its size tells a whole file from one that a full disk cut. */
export async function isCached(file: string, build: TemporalBuild): Promise<boolean> {
  const found = await stat(file).catch(() => undefined)
  return found?.isFile() === true && found.size === build.programBytes
}

/** Verifies the program and moves it into the cache in one step, so that nobody ever sees half of it. */
export async function putIntoCache(program: string, cached: string, build: TemporalBuild): Promise<void> {
  await verifySha256(program, build.programSha256, 'the Temporal program')
  await chmod(program, 0o755)
  await mkdir(dirname(cached), { recursive: true })
  await rename(program, cached)
  syncDirectory(dirname(cached))
}

/** Throws `mismatch` unless the file has exactly this content. */
export async function verifySha256(file: string, expected: string, what: string): Promise<void> {
  const hash = createHash('sha256')
  await pipeline(createReadStream(file), hash)
  const found = hash.digest('hex')
  if (found === expected) return
  await rm(file, { force: true })
  throw new BelayError({
    code: 'mismatch',
    message: `${what} has SHA-256 ${found}, expected ${expected}`,
    hint: 'The download was altered or cut short. Nothing of it was kept; try again, or use another network.',
  })
}
