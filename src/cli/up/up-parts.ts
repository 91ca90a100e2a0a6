/** The parts of `belay up`, in the order in which they start. */
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { Config } from '../../config/config.ts'
import type { Places } from '../../config/places.ts'
import { formatAddress } from '../../config/scalars.ts'
import { runnerTokenFile } from '../../config/token-files.ts'
import { keeperSocket } from '../../embedded/keeper/keeper-socket.ts'
import { childPart } from '../../embedded/supervisor/child-part.ts'
import { keeperPart } from '../../embedded/supervisor/keeper-part.ts'
import { partFiles } from '../../embedded/supervisor/part-files.ts'
import type { Part } from '../../embedded/supervisor/part.ts'
import { temporalPart } from '../../embedded/supervisor/temporal-part.ts'
import type { KeeperInput, MainInput, RunnerInput, TemporalAt } from '../part/part-input.ts'
import { defaults } from '../../pipeline/defaults.ts'
import { engineEnvironment, pickVariables } from '../../process/engine-environment.ts'

export interface UpPartsOptions {
  config: Config
  places: Places
  /** The embedded server's program and port; absent: Temporal is somebody else's. */
  embedded?: { program: string; port: number }
  temporal: TemporalAt
  user?: { uid: number; gid: number }
  env: NodeJS.ProcessEnv
}

export function upParts(options: UpPartsOptions): Part[] {
  const { places, embedded } = options
  const temporal =
    embedded === undefined ? [] : [temporalPart({ ...embedded, directory: places.temporal, parts: places.partLogs })]
  return [...temporal, keeperOf(options), main(options), runner(options)]
}

const readyTimeoutMs = 60_000

/** Also for a deployer on its own: its target needs one on the same machine. */
export function keeperOf({ places, env }: Pick<UpPartsOptions, 'places' | 'env'>): Part {
  const input: KeeperInput = { directory: places.keeper, apps: places.apps }
  return keeperPart({
    ...program('keeper', JSON.stringify(input)),
    cwd: places.keeper,
    env: plainEnvironment(env),
    socket: keeperSocket(places.keeper),
    parts: places.partLogs,
    readyTimeoutMs: 20_000,
    stopGraceMs: 12_000,
  })
}

function main({ config, places, temporal, env }: UpPartsOptions): Part {
  const input: MainInput = { config, places, temporal, ready: partFiles(places.partLogs, 'main').ready }
  return childPart({
    name: 'main',
    ...program('main'),
    cwd: places.data,
    // The operator's whole environment: secrets of the provider `env` are looked up in it.
    env: pickVariables(env, Object.keys(env)),
    input: () => JSON.stringify(input),
    directory: places.partLogs,
    readyTimeoutMs,
    stopGraceMs: 5000,
  })
}

function runner({ config, places, temporal, user, env }: UpPartsOptions): Part {
  const input: Omit<RunnerInput, 'token'> = {
    name: 'local',
    slots: config.runners.slots,
    labels: config.runners.labels,
    serverUrl: serverUrlOf(config),
    publicUrl: config.publicUrl,
    temporal,
    ...(config.payloadKeys === undefined ? {} : { payloadKeys: config.payloadKeys }),
    places: { runner: places.runner, workspaces: places.workspaces, images: places.images },
    path: env['PATH'] ?? '/usr/local/bin:/usr/bin:/bin',
    ...(user === undefined ? {} : { user }),
    graceMs: defaults.graceMs,
    limits: stepLimitsOf(config),
    ready: partFiles(places.partLogs, 'runner').ready,
  }
  return childPart({
    name: 'runner',
    ...program('runner'),
    cwd: places.runner,
    // It runs other people's code, so it does not get the operator's environment; its builds need an engine.
    env: { ...plainEnvironment(env), ...engineEnvironment(env) },
    input: () => JSON.stringify({ ...input, token: readFileSync(runnerTokenFile(places), 'utf8') }),
    directory: places.partLogs,
    readyTimeoutMs,
    stopGraceMs: 8500,
  })
}

/** What the operator allows a step. */
export function stepLimitsOf({ runners }: Config): { memoryBytes?: number; pids?: number } {
  const { memoryBytes, pids } = runners
  return { ...(memoryBytes === undefined ? {} : { memoryBytes }), ...(pids === undefined ? {} : { pids }) }
}

function program(role: string, ...args: string[]): { file: string; args: string[] } {
  const script = fileURLToPath(new URL('../main.js', import.meta.url))
  return { file: process.execPath, args: [script, 'part', role, ...args] }
}

/** How a part on this machine reaches the server, whatever it listens on. */
export function serverUrlOf(config: Config): string {
  const { host, port } = config.listen
  const reachable = host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host
  return `http://${formatAddress({ host: reachable, port })}`
}

/** What a part needs to find programs, directories and, behind a proxy, repositories. */
const proxies = ['HTTP_PROXY', 'HTTPS_PROXY', 'ALL_PROXY', 'NO_PROXY']
const handedOn = ['PATH', 'HOME', 'LANG', 'TZ', 'TMPDIR', ...proxies, ...proxies.map((name) => name.toLowerCase())]

export function plainEnvironment(env: NodeJS.ProcessEnv): Record<string, string> {
  return pickVariables(env, handedOn)
}
