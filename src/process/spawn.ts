/** The one place that spawns. Commands are argv arrays; nothing here goes through a shell. */
import { execa, type Options } from 'execa'
import { BelayError } from '../domain/errors.ts'
import { groupHasLiveMember, identifyChild, signalGroup, type ProcessIdentity } from './identity.ts'

export interface SpawnOptions {
  file: string
  args: readonly string[]
  cwd: string
  /** The whole environment: nothing is inherited. */
  env: Readonly<Record<string, string>>
  /** Where output goes: chunks as they come, or an open file descriptor. Default: nowhere. */
  output?: ((chunk: Buffer) => void) | number
  /** Text for stdin; default: none. */
  input?: string
  /** Run as this user and group (needs root). */
  user?: { uid: number; gid: number } | undefined
  /** Not stopped when this process ends, and not waited for. */
  outlive?: boolean
  /** Gives the child an IPC channel, which closes when this process dies. */
  ipc?: boolean
}

export interface Exit {
  /** Absent if a signal ended it. */
  exitCode?: number
  signal?: string
  durationMs: number
}

export interface Spawned {
  readonly pid: number
  readonly identity: ProcessIdentity
  /** Resolves when the leader has ended and its output is read; never rejects. */
  readonly done: Promise<Exit>
  /** SIGTERM to the whole group, SIGKILL after the grace; resolves when nothing of the group is left. */
  stop(graceMs: number): Promise<void>
}

/** Starts a program as the leader of a process group of its own. Throws `refused` if it cannot be started at all. */
export async function spawnProcess(options: SpawnOptions): Promise<Spawned> {
  const startedAt = performance.now()
  const { output, user } = options
  const sink = typeof output === 'number' ? output : output === undefined ? 'ignore' : 'pipe'
  const child = execa(options.file, options.args, {
    cwd: options.cwd,
    env: options.env,
    extendEnv: false,
    detached: true,
    cleanup: false,
    reject: false,
    buffer: false,
    encoding: 'buffer',
    stdin: options.input === undefined ? 'ignore' : 'pipe',
    ...(options.input === undefined ? {} : { input: options.input }),
    stdout: sink,
    stderr: sink,
    ...(options.ipc === true ? { ipc: true, serialization: 'json' as const } : {}),
    ...(user ?? {}),
  } as Options)
  if (typeof output === 'function') {
    child.stdout?.on('data', output)
    child.stderr?.on('data', output)
  }
  const pid = child.pid
  if (pid === undefined) {
    const failed = await child
    throw new BelayError({
      code: 'refused',
      message: `cannot start ${options.file}: ${failed.originalMessage ?? 'unknown error'}`,
      hint: `Is ${options.file} installed, and does the directory ${options.cwd} exist?`,
      cause: failed,
    })
  }
  const identity = identifyChild(pid) ?? { pid, startTime: 'gone', bootId: 'gone' }
  if (options.outlive === true) child.unref()
  const done = child.then((result): Exit => {
    const ended = { durationMs: performance.now() - startedAt }
    if (result.signal !== undefined) return { ...ended, signal: result.signal }
    return { ...ended, exitCode: result.exitCode ?? 1 }
  })
  return { pid, identity, done, stop: (graceMs) => stopGroup(identity, graceMs) }
}

/** SIGTERM, grace, SIGKILL to a process group; resolves when nothing of it is left. */
export async function stopGroup(identity: ProcessIdentity, graceMs: number): Promise<void> {
  if (!signalGroup(identity, 'SIGTERM')) return
  const deadline = performance.now() + graceMs
  while (performance.now() < deadline) {
    if (!hasLiveMember(identity)) return
    await pause(20)
  }
  signalGroup(identity, 'SIGKILL')
  while (hasLiveMember(identity)) await pause(10)
}

function hasLiveMember(identity: ProcessIdentity): boolean {
  return signalGroup(identity, 0) && groupHasLiveMember(identity.pid)
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
