/** A real PostgreSQL on 127.0.0.1: its own directory, its own port, as many empty databases as a test wants. */
import { closeSync, existsSync, openSync, readdirSync, readFileSync } from 'node:fs'
import { chown, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { Client } from 'pg'
import { afterAll } from 'vitest'
import { spawnProcess } from '../../src/process/spawn.ts'
import type { Spawned } from '../../src/process/spawn.ts'
import { findQuietPort } from './quiet-port.ts'
import { skipUnless } from './skips.ts'
import { until } from './until.ts'

export interface Postgres {
  readonly port: number
  /** The user that PostgreSQL runs as; undefined: ours. */
  readonly user: { uid: number; gid: number } | undefined
  /** URL, with a password, of a new and empty database. `tablespace` is the name of one that was made before. */
  createDatabase(options?: { tablespace?: string }): Promise<string>
  /** One statement, as the superuser and outside any of these databases. */
  execute(statement: string): Promise<void>
  /** Of the process that the others are the children of; undefined: it has ended. */
  pid(): number | undefined
  /** What it has printed, in all its lives. */
  output(): string
  /** Ends it at once, in order. */
  kill(): Promise<void>
  /** SIGKILL to all of its processes, as a power cut does; resolves when none is left. */
  crash(): Promise<void>
  /** The same data, on the same port. */
  restart(): Promise<void>
  stop(): Promise<void>
}

/** It has in it what has to be encoded in a URL. */
export const postgresPassword = 'p@ss/w:rd'

/** What is missing to start one; undefined: nothing. */
export function postgresMissing(): string | undefined {
  return findPrograms() === undefined ? 'PostgreSQL (Debian: postgresql) is not installed' : undefined
}

/** One server for the tests of a file: started by the first that asks, stopped after the last. */
export function postgresOfFile(): () => Promise<Postgres> {
  let started: Promise<Postgres> | undefined
  afterAll(async () => {
    await (await started)?.stop()
  })
  return () => {
    const missing = postgresMissing()
    skipUnless(missing === undefined, missing ?? '')
    return (started ??= startPostgres())
  }
}

export interface PostgresOptions {
  /** Its data is in `data` below it, which may be a mount of the user's own. The caller's to remove. Default: a new directory. */
  home?: string
  /** `name=value` */
  settings?: readonly string[]
  /** Its journal is written in files of one megabyte, each a new one: on a full disk it soon misses one, and ends. */
  freshJournal?: boolean
}

export async function startPostgres({
  home: given,
  settings = [],
  freshJournal = false,
}: PostgresOptions = {}): Promise<Postgres> {
  const programs = findPrograms()
  if (programs === undefined) throw new Error(postgresMissing())
  const home = given ?? (await mkdtemp(join(tmpdir(), 'belay-postgres-')))
  await mkdir(home, { recursive: true, mode: 0o700 })
  const remove = async () => {
    if (given === undefined) await rm(home, { recursive: true, force: true, maxRetries: 5 })
  }
  const user = findPostgresUser()
  if (user !== undefined) await chown(home, user.uid, user.gid)
  const journal = freshJournal ? ['wal_recycle=off', 'min_wal_size=2MB', 'max_wal_size=16MB'] : []
  const server = { programs, home, user, settings: [...journal, ...settings], port: await findQuietPort() }
  try {
    await makeCluster(server, freshJournal ? ['--wal-segsize', '1'] : [])
    return control(server, { first: await begin(server), remove })
  } catch (error) {
    await remove()
    throw error
  }
}

interface Server {
  programs: string
  home: string
  user: { uid: number; gid: number } | undefined
  settings: readonly string[]
  port: number
}

function control(server: Server, { first, remove }: { first: Spawned; remove(): Promise<void> }): Postgres {
  let running: Spawned | undefined
  let databases = 0
  const watch = (spawned: Spawned) => {
    running = spawned
    // It also ends by itself: where it cannot write what it must, it gives up.
    void spawned.done.then(() => {
      if (running === spawned) running = undefined
    })
  }
  const end = async (how: (spawned: Spawned) => unknown) => {
    const spawned = running
    if (spawned === undefined) return
    await how(spawned)
    await spawned.done
  }
  watch(first)
  return {
    port: server.port,
    user: server.user,
    pid: () => running?.pid,
    output: () => readFileSync(outputFile(server), 'utf8'),
    async createDatabase({ tablespace } = {}) {
      databases += 1
      const name = `test_${String(databases)}`
      await execute(server, `create database ${name}${tablespace === undefined ? '' : ` tablespace ${tablespace}`}`)
      return urlOf(server, name)
    },
    execute: (statement) => execute(server, statement),
    kill: () => end(({ pid }) => process.kill(pid, 'SIGQUIT')),
    crash: () => end(killFamily),
    async restart() {
      watch(await begin(server))
    },
    async stop() {
      await end(({ pid }) => process.kill(pid, 'SIGINT'))
      await remove()
    },
  }
}

async function makeCluster(server: Server, further: readonly string[]): Promise<void> {
  const passwordFile = join(server.home, 'password')
  await writeFile(passwordFile, postgresPassword, { mode: 0o600 })
  if (server.user !== undefined) await chown(passwordFile, server.user.uid, server.user.gid)
  const spawned = await run(server, 'initdb', [
    ...['--pgdata', join(server.home, 'data'), '--username', 'belay', '--pwfile', passwordFile],
    ...['--auth', 'scram-sha-256', '--encoding', 'UTF8', '--no-locale', '--no-sync', '--no-instructions'],
    ...further,
  ])
  const { exitCode } = await spawned.done
  if (exitCode !== 0) throw new Error(`initdb failed: ${outputOf(server)}`)
}

/** Commits are synced as they are in earnest: what a kill may lose is part of what is tested. */
async function begin(server: Server): Promise<Spawned> {
  const settings = ['listen_addresses=127.0.0.1', `unix_socket_directories=${server.home}`, ...server.settings]
  const spawned = await run(server, 'postgres', [
    ...['-D', join(server.home, 'data'), '-p', String(server.port)],
    ...settings.flatMap((setting) => ['-c', setting]),
  ])
  const ended = spawned.done.then(() => 'ended' as const)
  const answer = until('PostgreSQL answers', () =>
    execute(server, 'select 1').then(
      () => 'ready' as const,
      () => undefined,
    ),
  )
  const became = await Promise.race([answer, ended]).catch(async (error: unknown) => {
    await killFamily(spawned)
    throw error
  })
  if (became === 'ready') return spawned
  throw new Error(`PostgreSQL did not start: ${outputOf(server)}`)
}

/** Each of its processes has a session of its own, so no signal reaches them all; what they start is started by the first. */
async function killFamily({ pid, done }: Spawned): Promise<void> {
  const family = [pid, ...childrenOf(pid)]
  for (const member of family) signalIfThere(member, 'SIGKILL')
  await done
  await until('the processes of PostgreSQL are gone', () => family.every((member) => !signalIfThere(member, 0)))
}

function childrenOf(pid: number): number[] {
  const place = `/proc/${String(pid)}/task/${String(pid)}/children`
  return existsSync(place) ? readFileSync(place, 'utf8').split(' ').filter(Boolean).map(Number) : []
}

function signalIfThere(pid: number, signal: NodeJS.Signals | 0): boolean {
  try {
    return process.kill(pid, signal)
  } catch {
    // It has ended.
    return false
  }
}

async function run({ programs, home, user }: Server, program: string, args: readonly string[]): Promise<Spawned> {
  const output = openSync(outputFile({ home }), 'a')
  try {
    const env = { PATH: process.env['PATH'] ?? '', LC_ALL: 'C', TZ: 'UTC' }
    return await spawnProcess({ file: join(programs, program), args, cwd: home, env, output, user })
  } finally {
    closeSync(output)
  }
}

async function execute(server: Server, statement: string): Promise<void> {
  const client = new Client({ connectionString: urlOf(server, 'postgres') })
  // A server that is stopping says so twice: to the query, and here.
  client.on('error', () => undefined)
  await client.connect()
  try {
    await client.query(statement)
  } finally {
    await client.end()
  }
}

function urlOf({ port }: Server, database: string): string {
  return `postgresql://belay:${encodeURIComponent(postgresPassword)}@127.0.0.1:${String(port)}/${database}`
}

function outputOf(server: Server): string {
  return readFileSync(outputFile(server), 'utf8').slice(-2_000)
}

function outputFile({ home }: Pick<Server, 'home'>): string {
  return join(home, 'output')
}

/** Debian keeps them out of PATH, by version; the newest. */
function findPrograms(): string | undefined {
  const debian = '/usr/lib/postgresql'
  const versions = existsSync(debian) ? readdirSync(debian).sort((a, b) => Number(b) - Number(a)) : []
  const candidates = [...versions.map((version) => join(debian, version, 'bin')), ...(process.env['PATH'] ?? '').split(delimiter)]
  return candidates.find((directory) => ['initdb', 'postgres'].every((program) => existsSync(join(directory, program))))
}

/** PostgreSQL refuses to run as root. Undefined: it runs as we do. */
export function findPostgresUser(): { uid: number; gid: number } | undefined {
  if (process.getuid?.() !== 0) return undefined
  const users = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .map((line) => line.split(':'))
  const found = users.find(([name]) => name === 'postgres') ?? users.find(([name]) => name === 'nobody')
  if (found === undefined) throw new Error('there is no user postgres or nobody to run PostgreSQL as')
  return { uid: Number(found[2]), gid: Number(found[3]) }
}
