// Long because what stands where, what starts what and what ends it is one picture.
/**
 * Belay on many machines, in small: two servers, two controls, two runners and a deployer, each a process of the build, on
 * one PostgreSQL and one Temporal. Servers and controls share a data directory, as many machines share a file system; the
 * deployer and the runners have their own. The deployer's keeper is a process of its own, which the deployer looks after.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { chmodSync, closeSync, existsSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createClient, type Client } from '../../src/api/client.ts'
import { placesOf } from '../../src/config/places.ts'
import { adminTokenFile } from '../../src/config/token-files.ts'
import { partFiles } from '../../src/embedded/supervisor/part-files.ts'
import { findTemporal } from '../../src/embedded/temporal/find-temporal.ts'
import { startTemporal, type TemporalServer } from '../../src/embedded/temporal/start-temporal.ts'
import { signalGroup } from '../../src/process/identity.ts'
import { stopGroup } from '../../src/process/spawn.ts'
import { openStore } from '../../src/store/open-store.ts'
import type { Store } from '../../src/store/store.ts'
import { startGitServer, type GitServer } from './git-server.ts'
import { endKeeper } from './keeper-process.ts'
import { startPostgres, type PostgresOptions } from './postgres.ts'
import { findQuietPort } from './quiet-port.ts'
import { until } from './until.ts'

export const serverNames = ['server-a', 'server-b'] as const
export const controlNames = ['control-a', 'control-b'] as const
export const runnerNames = ['runner-a', 'runner-b'] as const
export type ServerName = (typeof serverNames)[number]
export type ControlName = (typeof controlNames)[number]
export type RunnerName = (typeof runnerNames)[number]
export const machineNames = [...serverNames, ...controlNames, ...runnerNames, 'deployer'] as const
export type MachineName = (typeof machineNames)[number]
/** What can be broken: the machines, the PostgreSQL and the Temporal they share, and the process that owns the applications. */
export const partNames = ['postgres', 'temporal', ...machineNames, 'keeper'] as const
export type PartName = (typeof partNames)[number]
/** What is started again by us; the keeper is its deployer's. */
export type StartedName = Exclude<PartName, 'keeper'>

/** The server that each runner speaks to. */
export const serverOf: Readonly<Record<RunnerName, ServerName>> = { 'runner-a': 'server-a', 'runner-b': 'server-b' }

export interface ClusterOptions {
  /** The only one. Default: `flood`. */
  project?: string
  /** Its repository's name on the Git server. Default: the project's. */
  repository?: string
  /** All of it lies below this one, which its owner makes and removes. Default: a new one, gone with the cluster. */
  directory?: string
  /** Its owner stops it. Default: one that ends with the cluster. */
  git?: GitServer
  /** The Git server as Belay is told of it; default: as it is. */
  gitUrl?: string
  /** More of the project, and of the top level of the configuration: whole lines. */
  projectConfig?: string
  config?: string
  /** Further variables of servers, controls and the deployer. */
  env?: Record<string, string>
  /** Further variables of every machine. */
  everyEnv?: Record<string, string>
  /** How much each runner does at once. */
  slots?: number
  postgres?: Omit<PostgresOptions, 'home'>
}

export interface Cluster {
  /** A directory that every step may write into, outside of all workspaces. */
  notes: string
  /** Of the project. */
  hookSecret: string
  git: GitServer
  /** `host:port` of Temporal. */
  temporal: string
  /** URL, with a password. */
  database: string
  /** The database and the shared directories, as the servers see them. */
  store: Store
  urlOf(server: ServerName): string
  /** With the admin's token, by way of that server. */
  clientOf(server: ServerName): Client
  /** Throws if it does not run. */
  pid(part: PartName): number
  /** Has it never run, or has its process ended? */
  isGone(part: PartName): boolean
  /** Throws if it does not run. */
  signal(part: PartName, signal: NodeJS.Signals): void
  /** SIGKILL; resolves when the process is gone, of PostgreSQL all of them. */
  kill(part: PartName): Promise<void>
  /** SIGTERM; resolves when it has stopped in order. */
  shutDown(machine: MachineName): Promise<void>
  /** After its end: the same again; resolves when it is ready. */
  start(part: StartedName): Promise<void>
  /** What a part has printed, in all its lives. */
  output(part: PartName): string
  /** Where runners have their directories and workspaces. */
  runners: readonly { name: RunnerName; data: string; workspaces: string }[]
  /** The admin's tokens that were written down on any of the machines. */
  adminTokens: readonly string[]
  stop(): Promise<void>
}

/** Where a cluster keeps what, below its directory. */
export function clusterPlaces(directory: string) {
  const workOf = (machine: MachineName) => join(directory, `${machine}-work`)
  return {
    notes: join(directory, 'notes'),
    /** PostgreSQL's; its data is in `data` below it. */
    postgres: join(directory, 'postgres'),
    shared: placesOf(join(directory, 'shared'), { root: false }),
    deployer: placesOf(join(directory, 'deployer'), { work: workOf('deployer'), root: false }),
    runner: (name: RunnerName) => placesOf(join(directory, name), { work: workOf(name), root: false }),
    workOf,
  }
}

/** Starts everything. */
export async function startCluster(options: ClusterOptions = {}): Promise<Cluster> {
  const ends: (() => Promise<unknown>)[] = []
  const directory = options.directory ?? mkdtempSync(join(tmpdir(), 'belay-cluster-'))
  if (options.directory === undefined)
    ends.push(() => Promise.resolve(rmSync(directory, { recursive: true, force: true, maxRetries: 5 })))
  // Steps may run as another user, who must be able to pass through.
  chmodSync(directory, 0o711)
  // One that cannot be ended must not keep the others alive.
  const stop = async () => {
    const faults: unknown[] = []
    for (const end of ends.splice(0).reverse()) await end().catch((error: unknown) => faults.push(error))
    if (faults.length > 0)
      throw new AggregateError(faults, `not all of the cluster could be ended: ${faults.map(String).join('; ')}`)
  }
  try {
    return { ...(await assemble({ ...options, directory, ends })), stop }
  } catch (error) {
    await stop()
    throw error
  }
}

interface Assembly extends ClusterOptions {
  directory: string
  /** What ends the parts, in the order in which they were started. */
  ends: (() => Promise<unknown>)[]
}

async function assemble(options: Assembly): Promise<Omit<Cluster, 'stop'>> {
  const { directory, ends, project = 'flood', repository: repositoryName = project } = options
  const places = clusterPlaces(directory)
  const { notes, shared, deployer } = places
  mkdirSync(notes)
  chmodSync(notes, 0o777)
  const git = options.git ?? (await startGitServer())
  if (options.git === undefined) ends.push(() => git.stop())
  const postgres = await createPostgres({ ...options.postgres, home: places.postgres })
  ends.push(() => postgres.end())
  const database = postgres.url
  const temporal = createTemporal(directory)
  ends.push(() => temporal.end())
  await temporal.start()
  const urls: Record<ServerName, string> = { 'server-a': await freeUrl(), 'server-b': await freeUrl() }
  const config = join(directory, 'belay.config.yml')
  const repository = `${options.gitUrl ?? git.url}/${repositoryName}.git`
  writeFileSync(config, configText({ ...options, project, temporal: temporal.address(), url: urls['server-a'], repository }))

  const hookSecret = randomBytes(24).toString('hex')
  const create = (machine: MachineName, args: string[], env: Record<string, string>, says: string) => {
    const all = { ...options.everyEnv, ...env, BELAY_WORK_DIR: places.workOf(machine) }
    const one = createMachine({ name: machine, directory, args, env: all, says })
    ends.push(() => one.end())
    return one
  }
  const configured = (machine: MachineName, command: string[], data: string, says: string) => {
    const env = { ...options.env, DATABASE_URL: database, HOOK_SECRET: hookSecret }
    return create(machine, [...command, '--config', config, '--data', data], env, says)
  }

  const server = (name: ServerName) =>
    configured(name, ['server', '--listen', new URL(urls[name]).host], shared.data, '"msg":"serving"')
  const control = (name: ControlName) => configured(name, ['worker', 'control'], shared.data, '"role":"control","msg":"ready"')
  const keeper = createKeeper(deployer)
  // It outlives the deployer that started it.
  ends.push(() => keeper.end())
  const configuredOnes = {
    'server-a': server('server-a'),
    'server-b': server('server-b'),
    'control-a': control('control-a'),
    'control-b': control('control-b'),
    deployer: configured('deployer', ['worker', 'deployer'], deployer.data, '"role":"deployer","msg":"ready"'),
  }
  // All at once, on a database that is still empty.
  await Promise.all(Object.values(configuredOnes).map((one) => one.start()))

  const store = await openStore({ database: { url: database }, blobs: shared.blobs, logs: shared.logs })
  ends.push(() => store.close())
  const runner = async (name: RunnerName) => {
    const BELAY_RUNNER_TOKEN = await store.tokens.create({ name, role: 'runner' })
    const slots = options.slots === undefined ? [] : ['--slots', String(options.slots)]
    const args = ['worker', 'runner', '--name', name, '--url', urls[serverOf[name]], '--data', places.runner(name).data, ...slots]
    return create(name, args, { TEMPORAL_ADDRESS: temporal.address(), BELAY_RUNNER_TOKEN }, `runner ${name} serves`)
  }
  const runners = { 'runner-a': await runner('runner-a'), 'runner-b': await runner('runner-b') }
  await Promise.all(Object.values(runners).map((one) => one.start()))

  const started: Record<StartedName, Machine> = { postgres, temporal, ...configuredOnes, ...runners }
  const parts: Record<PartName, Omit<Machine, 'start'>> = { ...started, keeper }
  // Whichever machine was the first has it.
  const adminTokens = [shared, deployer]
    .map(adminTokenFile)
    .flatMap((file) => (existsSync(file) ? [readFileSync(file, 'utf8')] : []))
  const token = adminTokens[0] ?? ''
  return {
    ...{ notes, hookSecret, git, temporal: temporal.address(), database, store, adminTokens },
    urlOf: (name) => urls[name],
    clientOf: (name) => createClient({ url: urls[name], token }),
    pid: (name) => parts[name].pid(),
    isGone: (name) => parts[name].isGone(),
    signal: (name, signal) => void process.kill(parts[name].pid(), signal),
    async kill(name) {
      const part = parts[name]
      const pid = part.isGone() ? undefined : part.pid()
      if (pid === undefined) return
      if (name === 'postgres') return postgres.crash()
      process.kill(pid, 'SIGKILL')
      await until(`${name} is gone`, () => part.isGone() || part.pid() !== pid, stopWithinMs)
    },
    async shutDown(name) {
      process.kill(parts[name].pid(), 'SIGTERM')
      await until(`${name} has stopped`, () => parts[name].isGone(), stopWithinMs)
    },
    start: (name) => started[name].start(),
    output: (name) => parts[name].output(),
    runners: runnerNames.map((name) => ({ name, data: places.runner(name).data, workspaces: places.runner(name).workspaces })),
  }
}

/** On the same data and port in each life; started, with one empty database. */
async function createPostgres(options: PostgresOptions) {
  const postgres = await startPostgres(options)
  const part: Machine = {
    start: () => postgres.restart(),
    pid() {
      const pid = postgres.pid()
      if (pid === undefined) throw new Error('postgres does not run')
      return pid
    },
    isGone: () => postgres.pid() === undefined,
    output: () => postgres.output(),
    async end() {
      const pid = postgres.pid()
      if (pid !== undefined) process.kill(pid, 'SIGCONT')
      await postgres.stop()
    },
  }
  return { ...part, url: await postgres.createDatabase(), crash: () => postgres.crash() }
}

/** On the same file and port in each life. */
function createTemporal(directory: string): Machine & { address(): string } {
  const log = join(directory, 'temporal.log')
  let running: TemporalServer | undefined
  let pid: number | undefined
  const gone = (mine: number) => {
    if (pid === mine) pid = undefined
  }
  return {
    address: () => running?.address ?? '',
    async start() {
      const { TEMPORAL_ADDRESS: _theirs, ...env } = process.env
      const found = await findTemporal({ env })
      if (found.kind !== 'program') throw new Error('a server of our own was asked for')
      running = await startTemporal({
        ...{ program: found.file, directory: join(directory, 'temporal'), log },
        started: (identity) => (pid = identity.pid),
      })
      const mine = running.identity.pid
      void running.done.then(() => gone(mine))
    },
    pid() {
      if (pid === undefined) throw new Error('temporal does not run')
      return pid
    },
    isGone: () => pid === undefined,
    output: () => (existsSync(log) ? readFileSync(log, 'utf8') : ''),
    async end() {
      if (pid !== undefined && running !== undefined) signalGroup(running.identity, 'SIGCONT')
      await running?.stop()
    },
  }
}

/** Known by what its supervisor, the deployer, has written down. */
function createKeeper(places: ReturnType<typeof placesOf>): Omit<Machine, 'start'> {
  const files = () => partFiles(places.partLogs, 'keeper')
  return {
    pid() {
      const found = files().findRecorded()
      if (found === undefined) throw new Error('keeper does not run')
      return found.pid
    },
    isGone: () => files().findRecorded() === undefined,
    output: () => (existsSync(files().log) ? readFileSync(files().log, 'utf8') : ''),
    async end() {
      const found = files().findRecorded()
      if (found !== undefined) signalGroup(found, 'SIGCONT')
      await endKeeper(places.keeper)
      if (found !== undefined) await stopGroup(found, 1_000)
    },
  }
}

async function freeUrl(): Promise<string> {
  return `http://127.0.0.1:${String(await findQuietPort())}`
}

type ConfigText = Pick<ClusterOptions, 'projectConfig' | 'config'> & Record<'project' | 'temporal' | 'url' | 'repository', string>

function configText({ project, temporal, url, repository, projectConfig = '', config = '' }: ConfigText): string {
  return `public_url: ${url}
temporal: { address: "${temporal}" }
database: { url: { from_env: DATABASE_URL } }
projects:
  ${project}:
    repository: ${repository}
    forge: github
    webhook_secret: { from_env: HOOK_SECRET }
${projectConfig}${config}`
}

interface MachineSpec {
  name: MachineName
  directory: string
  args: string[]
  env: Record<string, string>
  /** What its output holds once it is ready. */
  says: string
}

interface Machine {
  start(): Promise<void>
  pid(): number
  isGone(): boolean
  output(): string
  /** Whatever state it is in: asked to stop, and killed if it does not. */
  end(): Promise<void>
}

const top = fileURLToPath(new URL(import.meta.url.includes('/dist/') ? '../../..' : '../..', import.meta.url))
const main = join(top, 'dist/src/cli/main.js')
const stopWithinMs = 20_000

function createMachine({ name, directory, args, env, says }: MachineSpec): Machine {
  let child: ChildProcess | undefined
  let lives = 0
  const logOf = (life: number) => join(directory, `${name}.${String(life)}.log`)
  const read = (life: number) => (existsSync(logOf(life)) ? readFileSync(logOf(life), 'utf8') : '')
  const isGone = () => child === undefined || child.exitCode !== null || child.signalCode !== null
  const gone = () => until(`${name} is gone`, isGone, stopWithinMs)

  return {
    async start() {
      lives += 1
      const output = openSync(logOf(lives), 'a', 0o600)
      child = spawn(process.execPath, [main, ...args], {
        cwd: directory,
        env: { PATH: process.env['PATH'] ?? '/usr/bin:/bin', HOME: directory, ...env },
        // By the channel it ends with us, however we end.
        stdio: ['ignore', output, output, 'ipc'],
      })
      closeSync(output)
      try {
        await until(`${name} is ready`, () => {
          if (isGone()) throw new Error(`${name} has ended`)
          return read(lives).includes(says)
        })
      } catch (error) {
        throw new Error(`${name} did not get ready:\n${read(lives).slice(-4_000)}`, { cause: error })
      }
    },
    pid() {
      if (child?.pid === undefined || isGone()) throw new Error(`${name} does not run`)
      return child.pid
    },
    isGone,
    output: () => Array.from({ length: lives }, (_, index) => read(index + 1)).join(''),
    async end() {
      if (isGone()) return
      // One that sleeps would not hear it.
      child?.kill('SIGCONT')
      child?.kill('SIGTERM')
      await gone().catch(() => child?.kill('SIGKILL'))
      await gone()
    },
  }
}
