/** Where Temporal comes from, in this order: a running one, the cache, the operator's own program, fetched. */
import { access, constants, stat } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { messageOf } from '../../domain/errors.ts'
import { isCached, temporalCachePath } from './cache.ts'
import { fetchTemporal, temporalMissing } from './fetch-temporal.ts'
import { runTool } from './run-tool.ts'
import { findTemporalBuild, temporalVersion } from './version.ts'

export interface FindOptions {
  env: NodeJS.ProcessEnv
  /** File of the cached program; default: `temporalCachePath(env)`. */
  cache?: string
  say?: (line: string) => void
}

export type Found =
  | { kind: 'address'; address: string; namespace: string }
  | { kind: 'program'; file: string; from: 'cache' | 'BELAY_TEMPORAL_CLI' | 'PATH' | 'pip' | 'release' }

/** `notes`: what was looked at and passed over, and why. */
export type Source = { notes: string[] } & ({ found: Found } | { found?: never; wouldFetch: boolean })

/** The server to use, fetched into the cache if need be. Throws `missing_part` with how to get it. */
export async function findTemporal(options: FindOptions): Promise<Found> {
  const source = await whichTemporal(options)
  if (source.found !== undefined) return source.found
  const build = findTemporalBuild()
  if (build === undefined) throw temporalMissing([...source.notes, `nobody publishes it for ${process.platform} ${process.arch}`])
  const cached = cacheOf(options)
  const from = await fetchTemporal({ env: options.env, cached, build, say: options.say ?? (() => undefined) })
  return { kind: 'program', file: cached, from }
}

/** Which one it would be; looks only, fetches nothing. */
export async function whichTemporal(options: FindOptions): Promise<Source> {
  const { env } = options
  const address = env['TEMPORAL_ADDRESS']
  if (address) {
    return { notes: [], found: { kind: 'address', address, namespace: env['TEMPORAL_NAMESPACE'] || 'default' } }
  }
  const build = findTemporalBuild()
  const cached = cacheOf(options)
  if (build !== undefined && (await isCached(cached, build))) {
    return { notes: [], found: { kind: 'program', file: cached, from: 'cache' } }
  }
  const notes: string[] = []
  for (const { file, from } of await listOwnPrograms(env)) {
    const version = await versionOf(file, env)
    if (version === temporalVersion.cli) return { notes, found: { kind: 'program', file, from } }
    notes.push(`${from}: ${file} is ${version ?? 'not a Temporal CLI'}, not ${temporalVersion.cli}`)
  }
  return { notes, wouldFetch: build !== undefined }
}

function cacheOf(options: FindOptions): string {
  return options.cache ?? temporalCachePath(options.env)
}

async function listOwnPrograms(env: NodeJS.ProcessEnv): Promise<{ file: string; from: 'BELAY_TEMPORAL_CLI' | 'PATH' }[]> {
  const own = env['BELAY_TEMPORAL_CLI']
  const onPath = await findOnPath('temporal', env)
  return [
    ...(own ? [{ file: own, from: 'BELAY_TEMPORAL_CLI' as const }] : []),
    ...(onPath === undefined ? [] : [{ file: onPath, from: 'PATH' as const }]),
  ]
}

/** First executable file of that name on PATH. */
export async function findOnPath(name: string, env: NodeJS.ProcessEnv): Promise<string | undefined> {
  for (const directory of (env['PATH'] ?? '').split(delimiter).filter((entry) => entry !== '')) {
    const file = join(directory, name)
    const executable = await access(file, constants.X_OK).then(
      () => true,
      () => false,
    )
    if (executable && (await stat(file)).isFile()) return file
  }
  return undefined
}

/** What the program says it is: `temporal version 1.9.1 (Server 1.32.0, …)`. Undefined if it says something else. */
async function versionOf(file: string, env: NodeJS.ProcessEnv): Promise<string | undefined> {
  try {
    const { output } = await runTool(file, ['--version'], { env, cwd: '/', timeoutMs: 10_000 })
    return /temporal version (\d+\.\d+\.\d+\S*)/.exec(output)?.[1]
  } catch (error) {
    return `not to be started (${messageOf(error)})`
  }
}
