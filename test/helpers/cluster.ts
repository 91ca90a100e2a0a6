/**
 * Belay on many machines, in small: two servers, two controls, two runners and a deployer, each a process of the build, on
 * one PostgreSQL and one Temporal. Servers and controls share a data directory, as many machines share a file system; the
 * deployer and the runners have their own.
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
import { stopKeeper } from '../../src/embedded/keeper/keeper-presence.ts'
import { keeperSocket } from '../../src/embedded/keeper/keeper-socket.ts'
import { findTemporal } from '../../src/embedded/temporal/find-temporal.ts'
import { startTemporal } from '../../src/embedded/temporal/start-temporal.ts'
import { findFreePort } from '../../src/process/free-port.ts'
import { openStore } from '../../src/store/open-store.ts'
import type { Store } from '../../src/store/store.ts'
import { startGitServer, type GitServer } from './git-server.ts'
import { startPostgres } from './postgres.ts'
import { until } from './until.ts'

export const serverNames = ['server-a', 'server-b'] as const
export const controlNames = ['control-a', 'control-b'] as const
export const runnerNames = ['runner-a', 'runner-b'] as const
export type ServerName = (typeof serverNames)[number]
export type ControlName = (typeof controlNames)[number]
export type RunnerName = (typeof runnerNames)[number]
export const machineNames = [...serverNames, ...controlNames, ...runnerNames, 'deployer'] as const
type MachineName = (typeof machineNames)[number]

/** The server that each runner speaks to. */
export const serverOf: Readonly<Record<RunnerName, ServerName>> = { 'runner-a': 'server-a', 'runner-b': 'server-b' }

export interface Cluster {
  /** A directory that every step may write into, outside of all workspaces. */
  notes: string
  /** Of the project `flood`. */
  hookSecret: string
  git: GitServer
  /** `host:port` of Temporal. */
  temporal: string
  /** The database and the shared directories, as the servers see them. */
  store: Store
  urlOf(server: ServerName): string
  /** With the admin's token, by way of that server. */
  clientOf(server: ServerName): Client
  pid(machine: MachineName): number
  /** SIGKILL; resolves when the process is gone. */
  kill(machine: MachineName): Promise<void>
  /** SIGTERM; resolves when it has stopped in order. */
  shutDown(machine: MachineName): Promise<void>
  /** After `kill` or `shutDown`: the same again; resolves when it is ready. */
  start(machine: MachineName): Promise<void>
  /** What a machine has printed, in all its lives. */
  output(machine: MachineName): string
  /** The admin's tokens that were written down on any of the machines. */
  adminTokens: readonly string[]
  stop(): Promise<void>
}

/** Starts everything; `repository` is the name of the project's one on the Git server. */
export async function startCluster(repository: string): Promise<Cluster> {
  const directory = mkdtempSync(join(tmpdir(), 'belay-cluster-'))
  // Steps may run as another user, who must be able to pass through.
  chmodSync(directory, 0o711)
  const ends: (() => Promise<unknown>)[] = [
    () => Promise.resolve(rmSync(directory, { recursive: true, force: true, maxRetries: 5 })),
  ]
  const stop = async () => {
    for (const end of ends.splice(0).reverse()) await end()
  }
  try {
    return { ...(await assemble({ directory, repository, ends })), stop }
  } catch (error) {
    await stop()
    throw error
  }
}

interface Assembly {
  directory: string
  repository: string
  /** What ends the parts, in the order in which they were started. */
  ends: (() => Promise<unknown>)[]
}

async function assemble({ directory, repository, ends }: Assembly): Promise<Omit<Cluster, 'stop'>> {
  const notes = join(directory, 'notes')
  mkdirSync(notes)
  chmodSync(notes, 0o777)
  const git = await startGitServer()
  ends.push(() => git.stop())
  const postgres = await startPostgres()
  ends.push(() => postgres.stop())
  const database = await postgres.createDatabase()
  const temporal = await beginTemporal(directory)
  ends.push(() => temporal.stop())
  const urls: Record<ServerName, string> = { 'server-a': await freeUrl(), 'server-b': await freeUrl() }
  const config = join(directory, 'belay.config.yml')
  writeFileSync(
    config,
    configText({ temporal: temporal.address, url: urls['server-a'], repository: `${git.url}/${repository}.git` }),
  )

  const hookSecret = randomBytes(24).toString('hex')
  const shared = placesOf(join(directory, 'shared'), { root: false })
  const start = (machine: MachineName, args: string[], env: Record<string, string>, says: string) => {
    const one = createMachine({
      name: machine,
      directory,
      args,
      env: { ...env, BELAY_WORK_DIR: join(directory, `${machine}-work`) },
      says,
    })
    ends.push(() => one.end())
    return one
  }
  const configured = (machine: MachineName, command: string[], data: string, says: string) =>
    start(machine, [...command, '--config', config, '--data', data], { DATABASE_URL: database, HOOK_SECRET: hookSecret }, says)

  const server = (name: ServerName) =>
    configured(name, ['server', '--listen', new URL(urls[name]).host], shared.data, '"msg":"serving"')
  const control = (name: ControlName) => configured(name, ['worker', 'control'], shared.data, '"role":"control","msg":"ready"')
  const deployer = placesOf(join(directory, 'deployer'), { root: false })
  // It outlives the deployer that started it.
  ends.push(() => stopKeeper(keeperSocket(deployer.keeper)))
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
    const args = ['worker', 'runner', '--name', name, '--url', urls[serverOf[name]], '--data', join(directory, name)]
    return start(name, args, { TEMPORAL_ADDRESS: temporal.address, BELAY_RUNNER_TOKEN }, `runner ${name} serves`)
  }
  const runners = { 'runner-a': await runner('runner-a'), 'runner-b': await runner('runner-b') }
  await Promise.all(Object.values(runners).map((one) => one.start()))

  const machines: Record<MachineName, Machine> = { ...configuredOnes, ...runners }
  // Whichever machine was the first has it.
  const adminTokens = [shared, deployer]
    .map(adminTokenFile)
    .flatMap((file) => (existsSync(file) ? [readFileSync(file, 'utf8')] : []))
  const token = adminTokens[0] ?? ''
  return {
    ...{ notes, hookSecret, git, temporal: temporal.address, store, adminTokens },
    urlOf: (name) => urls[name],
    clientOf: (name) => createClient({ url: urls[name], token }),
    pid: (name) => machines[name].pid(),
    kill: (name) => machines[name].kill(),
    shutDown: (name) => machines[name].shutDown(),
    start: (name) => machines[name].start(),
    output: (name) => machines[name].output(),
  }
}

async function beginTemporal(directory: string) {
  const { TEMPORAL_ADDRESS: _theirs, ...env } = process.env
  const found = await findTemporal({ env })
  if (found.kind !== 'program') throw new Error('a server of our own was asked for')
  return await startTemporal({
    program: found.file,
    directory: join(directory, 'temporal'),
    log: join(directory, 'temporal.log'),
  })
}

async function freeUrl(): Promise<string> {
  return `http://127.0.0.1:${String(await findFreePort())}`
}

function configText({ temporal, url, repository }: { temporal: string; url: string; repository: string }): string {
  return `public_url: ${url}
temporal: { address: "${temporal}" }
database: { url: { from_env: DATABASE_URL } }
projects:
  flood:
    repository: ${repository}
    forge: github
    webhook_secret: { from_env: HOOK_SECRET }
`
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
  kill(): Promise<void>
  shutDown(): Promise<void>
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
    async kill() {
      child?.kill('SIGKILL')
      await gone()
    },
    async shutDown() {
      child?.kill('SIGTERM')
      await gone()
    },
    output: () => Array.from({ length: lives }, (_, index) => read(index + 1)).join(''),
    async end() {
      if (isGone()) return
      child?.kill('SIGTERM')
      await gone().catch(() => child?.kill('SIGKILL'))
      await gone()
    },
  }
}
