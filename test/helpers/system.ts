/** A whole Belay for a demo or a test: `belay up` in a directory of its own, with a repository made from an example. */
import { spawn, type ChildProcess } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { chmodSync, cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { execa } from 'execa'
import { createClient, type Client } from '../../src/api/client.ts'
import { findUpState, type UpState } from '../../src/cli/up/up-file.ts'
import type { GitRepository } from './git-repository.ts'
import { postPush } from './hook.ts'
import { findQuietPort } from './quiet-port.ts'
import { until } from './until.ts'

export const partNames = ['temporal', 'keeper', 'main', 'runner', 'up'] as const
export type PartName = (typeof partNames)[number]

export interface System {
  /** Everything lies below it. */
  directory: string
  data: string
  config: string
  url: string
  /** Where the environment `production` answers. */
  edge: string
  /** Where that environment answers. */
  edgeOf(environment: string): string
  token: string
  /** The process that is this part now. */
  pid(part: PartName): number
  /** Commits these files to `main` and gives the commit. */
  commit(files: Record<string, string>, message: string): Promise<string>
  /** Posts the signed push of a commit; gives the run. */
  push(sha: string, message: string, options?: PushOptions): Promise<{ id: string; number: number }>
  /** The same, whatever the answer is. */
  post(sha: string, message: string, options?: PushOptions): Promise<{ status: number; body: unknown }>
  client: Client
  /** All that a step has printed so far; empty while there is nothing. */
  readLog(runId: string, step: string): Promise<string>
  /** SIGKILL to one process; returns its pid. */
  kill(part: PartName): number
  /** Any signal to one process; returns its pid. */
  signal(part: PartName, signal: NodeJS.Signals): number
  /** Resolves when `up` has ended, with its exit code or signal. */
  ended(): Promise<number | string>
  /** After `up` has ended: starts it again on the same directory. */
  restart(): Promise<void>
  /** What `up` has printed. */
  output(): string
  /** Ends `up` and removes the directory. */
  stop(): Promise<void>
}

export interface PushOptions {
  deliveryId?: string
  /** Default: `main`. */
  branch?: string
}

export interface SystemOptions {
  /** Directory whose files become the repository's first commit; default: examples/hello-service. */
  example?: string
  /** Files laid over the example's in the first commit. */
  files?: Record<string, string>
  /** Polling interval; default: none, hooks only. */
  poll?: string
  /** The repository to use instead, which its owner makes, commits to and stops; then `example` and `files` say nothing. */
  repository?: GitRepository
  /** Default: `production`. By name, or with what is not the default. */
  environments?: string[] | Record<string, EnvironmentOptions>
  /** More of the configuration: whole keys of the top level. */
  config?: string
  /** Further environment variables of `up`. */
  env?: Record<string, string>
}

export interface EnvironmentOptions {
  /** Default: `process`. */
  target?: 'process' | 'docker'
  /** Default: `embedded`. */
  driver?: 'embedded' | 'haproxy'
  /** More of its configuration, as in a flow map: `instances: 2, memory: 64M`. */
  more?: string
}

const top = fileURLToPath(new URL(import.meta.url.includes('/dist/') ? '../../..' : '../..', import.meta.url))
const branch = 'main'

export async function startSystem(options: SystemOptions = {}): Promise<System> {
  const directory = mkdtempSync(join(tmpdir(), 'belay-'))
  // Steps may run as another user, who must be able to pass through.
  chmodSync(directory, 0o711)
  const data = join(directory, 'data')
  const secret = randomBytes(24).toString('hex')
  const port = await findQuietPort()
  const wanted = namedEnvironments(options.environments ?? ['production'])
  const edges: Record<string, string> = {}
  for (const name of Object.keys(wanted)) edges[name] = `127.0.0.1:${String(await findQuietPort())}`
  const repository = options.repository ?? (await makeRepository(directory, options))
  const config = join(directory, 'belay.config.yml')
  writeFileSync(config, configText({ port, edges, wanted, repository: repository.url, poll: options.poll, more: options.config }))

  const printed: string[] = []
  let up = await startUp()

  async function startUp(): Promise<ChildProcess> {
    const child = spawn(process.execPath, [join(top, 'dist/src/cli/main.js'), 'up', '--config', config, '--data', data], {
      cwd: directory,
      env: { ...process.env, ...options.env, HOOK_SECRET: secret, BELAY_WORK_DIR: join(directory, 'work') },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text: string) => printed.push(text))
    try {
      await until('belay up is ready', () => {
        if (child.exitCode !== null) throw new Error(`belay up ended with ${String(child.exitCode)}:\n${printed.join('')}`)
        return findUpState(data)?.pid === child.pid
      })
    } catch (error) {
      child.kill('SIGTERM')
      throw new Error(`belay up did not get ready:\n${printed.join('')}`, { cause: error })
    }
    return child
  }

  function readUp(): UpState {
    const state = findUpState(data)
    if (state === undefined) throw new Error('belay up does not run')
    return state
  }

  function pidOf(part: PartName): number {
    const { pid, parts } = readUp()
    const found = part === 'up' ? pid : parts[part]
    if (found === undefined) throw new Error(`no process of ${part} runs`)
    return found
  }

  async function ended(child: ChildProcess): Promise<void> {
    await until('belay up ends', () => child.exitCode !== null || child.signalCode !== null, 30_000)
  }

  const { url } = readUp()
  const token = readFileSync(join(data, 'admin-token'), 'utf8').trim()
  const client = createClient({ url, token })
  const post: System['post'] = (sha, message, more = {}) => postPush({ url: `${url}/hooks/hello`, secret, sha, message, ...more })
  const edgeOf = (environment: string): string => `http://${edges[environment] ?? ''}`
  const signal = (part: PartName, name: NodeJS.Signals): number => {
    const pid = pidOf(part)
    process.kill(pid, name)
    return pid
  }
  return {
    directory,
    data,
    config,
    url,
    edge: edgeOf('production'),
    edgeOf,
    token,
    pid: pidOf,
    commit: (files, message) => repository.commit({ files, message }),
    post,
    async push(sha, message, more) {
      const { status, body } = await post(sha, message, more)
      if (status !== 202) throw new Error(`the push was answered ${String(status)}: ${JSON.stringify(body)}`)
      return (body as { run: { id: string; number: number } }).run
    },
    client,
    async readLog(runId, step) {
      const chunks: Uint8Array[] = []
      for await (const chunk of client.readLog({ id: runId }, step)) chunks.push(chunk)
      return Buffer.concat(chunks).toString('utf8')
    },
    kill: (part) => signal(part, 'SIGKILL'),
    signal,
    async ended() {
      await ended(up)
      return up.exitCode ?? up.signalCode ?? 'gone'
    },
    async restart() {
      await ended(up)
      up = await startUp()
    },
    output: () => printed.join(''),
    async stop() {
      if (up.exitCode === null && up.signalCode === null) up.kill('SIGTERM')
      await ended(up)
      rmSync(directory, { recursive: true, force: true })
    },
  }
}

function namedEnvironments(environments: NonNullable<SystemOptions['environments']>): Record<string, EnvironmentOptions> {
  return Array.isArray(environments) ? Object.fromEntries(environments.map((name) => [name, {}])) : environments
}

interface ConfigText {
  port: number
  edges: Record<string, string>
  wanted: Record<string, EnvironmentOptions>
  repository: string
  poll: string | undefined
  more: string | undefined
}

function configText({ port, edges, wanted, repository, poll, more }: ConfigText): string {
  const environments = Object.entries(edges).map(([name, edge]) => {
    const { target = 'process', driver = 'embedded', more: further = '' } = wanted[name] ?? {}
    const rest = further === '' ? '' : `, ${further}`
    return `  ${name}: { target: ${target}, edge: { driver: ${driver}, listen: "${edge}" }, health: { http: /healthz }${rest} }\n`
  })
  return `listen: 127.0.0.1:${String(port)}
projects:
  hello:
    repository: ${repository}
    forge: github
    webhook_secret: { from_env: HOOK_SECRET }
${poll === undefined ? '' : `    poll: ${poll}\n`}    environments: [${Object.keys(edges).join(', ')}]
environments:
${environments.join('')}${more ?? ''}`
}

/** On this machine, without a server: what a newcomer has. */
async function makeRepository(
  directory: string,
  options: SystemOptions,
): Promise<{ url: string; commit: (input: { files: Record<string, string>; message: string }) => Promise<string> }> {
  const repository = join(directory, 'hello-service')
  const example = options.example ?? join(top, 'examples/hello-service')
  mkdirSync(repository, { mode: 0o755 })
  cpSync(example, repository, { recursive: true, filter: (source) => !/\/(dist|node_modules)$/.test(source) })
  await git(repository, ['init', '--quiet', `--initial-branch=${branch}`])
  const commit = async (input: { files: Record<string, string>; message: string }): Promise<string> => {
    for (const [file, text] of Object.entries(input.files)) writeFileSync(join(repository, file), text)
    await git(repository, ['add', '--all'])
    await git(repository, ['commit', '--quiet', '--allow-empty', '--message', input.message])
    return git(repository, ['rev-parse', 'HEAD'])
  }
  await commit({ files: options.files ?? {}, message: 'version 1' })
  return { url: `file://${repository}`, commit }
}

/** Git with an identity of its own: it must work in an empty home. */
async function git(directory: string, args: string[]): Promise<string> {
  const identity = ['-c', 'user.name=Ana', '-c', 'user.email=ana@example.com', '-c', 'commit.gpgsign=false']
  const { stdout } = await execa('git', [...identity, ...args], { cwd: directory })
  return stdout.trim()
}
