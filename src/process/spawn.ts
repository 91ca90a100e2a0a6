/** The one place that spawns. Commands are argv arrays; nothing here goes through a shell. */
import { execa, type Options } from 'execa'
import { BelayError } from '../domain/errors.ts'
import type { StepGroup } from './cgroup.ts'
import { findProgram, gatedArgs, letThrough } from './gate.ts'
import { tieToOurLife, type Command } from './tie-to-our-life.ts'
import { groupHasLiveMember, identifyChild, processGroupOf, signalGroup, type ProcessIdentity } from './identity.ts'

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
  /** The kernel kills it when this process dies, even by SIGKILL, where it can; what it starts itself is not tied. */
  tied?: boolean
  /** Called with it before anybody waits for it. If this throws, it is killed: what was not noted could not be found after a crash. */
  noted?: (identity: ProcessIdentity) => void
  /** Gives the child an IPC channel, which closes when this process dies. */
  ipc?: boolean
  /** The child is in it before its program begins, so nothing that it starts can be outside. */
  group?: StepGroup | undefined
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
  /** SIGTERM to the whole process group and cgroup, SIGKILL after the grace; resolves when nothing of them is left. */
  stop(graceMs: number): Promise<void>
  /** Over the IPC channel; false if there is none, or none any more. */
  send(message: object): boolean
}

/** Starts a program as the leader of a process group of its own. Throws `refused` if it cannot be started at all. */
export async function spawnProcess(options: SpawnOptions): Promise<Spawned> {
  const startedAt = performance.now()
  const { output, user, group } = options
  const sink = typeof output === 'number' ? output : output === undefined ? 'ignore' : 'pipe'
  const { file, args } = commandOf(options)
  const child = execa(file, args, {
    cwd: options.cwd,
    env: options.env,
    extendEnv: false,
    detached: true,
    cleanup: false,
    reject: false,
    buffer: false,
    encoding: 'buffer',
    ...(options.input === undefined ? {} : { input: options.input }),
    stdio: [options.input === undefined ? 'ignore' : 'pipe', sink, sink, ...(group === undefined ? [] : ['pipe'])],
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
  if (group !== undefined) await enter(group, { identity, gate: child.stdio[3] })
  await noteOrKill(options, identity)
  if (options.outlive === true) {
    child.unref()
    child.channel?.unref()
  }
  const done = child.then((result): Exit => {
    const ended = { durationMs: performance.now() - startedAt }
    if (result.signal !== undefined) return { ...ended, signal: result.signal }
    return { ...ended, exitCode: result.exitCode ?? 1 }
  })
  return {
    pid,
    identity,
    done,
    stop: async (graceMs) => await stopAll(identity, group, graceMs),
    send: (message) => child.connected && child.send(message, () => undefined),
  }
}

async function noteOrKill({ noted, group }: SpawnOptions, identity: ProcessIdentity): Promise<void> {
  try {
    noted?.(identity)
  } catch (error) {
    await stopAll(identity, group, 0)
    throw error
  }
}

function commandOf(options: SpawnOptions): Command {
  const { group, tied, args } = options
  if (group === undefined && tied !== true) return options
  const command = { file: requireProgram(options), args }
  const ours = tied === true ? tieToOurLife(command) : command
  return group === undefined ? ours : gatedArgs(ours.file, ours.args)
}

function requireProgram({ file, env, cwd }: SpawnOptions): string {
  const found = findProgram(file, env['PATH'] ?? '', cwd)
  if (found !== undefined) return found
  throw new BelayError({
    code: 'refused',
    message: `cannot start ${file}: there is no such program`,
    hint: `Is ${file} installed, and on the PATH of whoever asked for it?`,
  })
}

/** One that could not be put into its group has not begun, and never does. */
async function enter(group: StepGroup, child: { identity: ProcessIdentity; gate: unknown }): Promise<void> {
  try {
    group.add(child.identity.pid)
  } catch (error) {
    await stopGroup(child.identity, 0)
    throw error
  }
  letThrough(child.gate)
}

async function stopAll(identity: ProcessIdentity, group: StepGroup | undefined, graceMs: number): Promise<void> {
  const groupIsEmpty = () => group === undefined || group.members().length === 0
  const asked = signalGroup(identity, 'SIGTERM')
  // Those that have left the process group: nobody is asked twice.
  const others = (group?.members() ?? []).filter((pid) => processGroupOf(pid) !== identity.pid)
  for (const pid of others) signalProcess(pid, 'SIGTERM')
  const deadline = performance.now() + graceMs
  while (performance.now() < deadline && !(groupIsEmpty() && (!asked || !hasLiveMember(identity)))) await pause(20)
  if (asked) await stopGroup(identity, 0)
  await group?.kill()
}

function signalProcess(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal)
  } catch {
    // It has ended meanwhile.
  }
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
