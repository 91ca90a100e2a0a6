/** Runs the lines of a step, of an undo, or of a `finally` step as one script in a process group of its own. */
import { realpath } from 'node:fs/promises'
import { randomUUID } from 'node:crypto'
import { isAbsolute, join, relative, resolve } from 'node:path'
import { unlinkSync } from 'node:fs'
import { BelayError } from '../domain/errors.ts'
import type { Commands } from '../domain/plan.ts'
import type { StepGroup } from '../process/cgroup.ts'
import { isAlive, type ProcessIdentity } from '../process/identity.ts'
import { spawnProcess, type Exit, type Spawned } from '../process/spawn.ts'
import { killTaggedStep } from './leftovers.ts'
import { readProgress } from './progress.ts'
import { composeScript, shellArgs, writeScript } from './script.ts'
import { pause, stopReasonOf, whenStopped, type StopReason } from './stop.ts'
import type { StepUser, WorkspaceDirs } from './workspace/workspaces.ts'

export interface RunCommandInput {
  commands: Commands
  dirs: WorkspaceDirs
  /** The whole environment, with the tag that leftovers are found by. */
  env: Readonly<Record<string, string>>
  user?: StepUser | undefined
  /** What it runs in; absent: a process group only. */
  group?: StepGroup | undefined
  timeoutMs: number
  /** Between SIGTERM and SIGKILL. */
  graceMs: number
  signal: AbortSignal
  output(chunk: Buffer): void
  /** Called as soon as the process is there. */
  spawned(identity: ProcessIdentity): void
}

/** How it ended; when this is returned nothing of the process group, and of the cgroup, is left. */
export type CommandEnd =
  | { type: 'exited'; exitCode: number; line: number | undefined }
  | { type: 'signalled'; signal: string; line: number | undefined }
  | { type: 'timed_out'; line: number | undefined }
  | { type: 'stopped'; reason: StopReason }

const leaderPollMs = 100
const exitWaitMs = 2_000
const hurriedGraceMs = 4_000
const backgroundGraceMs = 1_000

/** Throws `BelayError` `refused` if it cannot be started: no such shell or directory, a directory outside the workspace. */
export async function runCommand(input: RunCommandInput): Promise<CommandEnd> {
  const { commands, dirs, env } = input
  const cwd = await resolveInside(dirs.checkout, commands.workingDirectory)
  const before = stopReasonOf(input.signal)
  if (before !== undefined) return { type: 'stopped', reason: before }

  const progressFile = join(dirs.tmp, `line-${randomUUID()}`)
  const scriptFile = writeScript(dirs.tmp, composeScript(commands.lines, progressFile), input.user)
  try {
    const { user, group } = input
    const shell = shellArgs(commands.shell, scriptFile)
    // What is in a cgroup is found there by whoever comes after us; without one its leader does not outlive us.
    const tied = group === undefined
    const child = await spawnProcess({
      ...shell,
      tied,
      cwd,
      env,
      user,
      group,
      noted: (identity) => input.spawned(identity),
      output: (chunk) => input.output(chunk),
    })
    const exit = await waitForEnd(child, input)
    if ('type' in exit && exit.type === 'stopped') return exit
    const line = readProgress(progressFile, commands.lines.length)
    if ('type' in exit) return { ...exit, line }
    return exit.signal === undefined
      ? { type: 'exited', exitCode: exit.exitCode ?? 1, line }
      : { type: 'signalled', signal: exit.signal, line }
  } finally {
    removeQuietly(scriptFile)
    removeQuietly(progressFile)
  }
}

type Ended = Exit | { type: 'timed_out' } | { type: 'stopped'; reason: StopReason }

/** Waits for the leader, the time limit, or the signal; then sees to it that the group is gone. */
async function waitForEnd(child: Spawned, input: RunCommandInput): Promise<Ended> {
  const over = new AbortController()
  try {
    const first = await Promise.race([
      child.done,
      whenLeaderGone(child, over.signal).then(() => undefined),
      pause(input.timeoutMs, over.signal).then(() => ({ type: 'timed_out' as const })),
      whenStopped(input.signal, over.signal).then(() => ({
        type: 'stopped' as const,
        reason: stopReasonOf(input.signal) ?? 'lost',
      })),
    ])
    // Also after a good end: what the step left in the background does not outlive it.
    // A leader that ended before it could be identified has a group that cannot be named; its members carry the tag.
    const isOver = first !== undefined && !('type' in first) && child.identity.startTime !== 'gone'
    await child.stop(Math.min(input.graceMs, longestGraceMs(first)))
    if (!isOver) await killTaggedStep(input.env)
    if (first === undefined) return await readExit(child)
    // What it said last, tidying up, belongs to its log.
    await Promise.race([child.done, pause(exitWaitMs, over.signal)])
    return first
  } finally {
    over.abort()
  }
}

/** What is asked for by a person or by the time limit gets its full grace; a runner that must go or give way has less. */
function longestGraceMs(ended: Ended | undefined): number {
  if (ended === undefined || !('type' in ended)) return backgroundGraceMs
  return ended.type === 'stopped' && ended.reason !== 'cancelled' ? hurriedGraceMs : Number.MAX_SAFE_INTEGER
}

/** Polls: `done` waits for the output's end as well, which a background process may hold open. Never resolves after `until`. */
async function whenLeaderGone(child: Spawned, until: AbortSignal): Promise<void> {
  while (isAlive(child.identity)) {
    if (!(await pause(leaderPollMs, until))) return await new Promise(() => undefined)
  }
  // The common end: it is gone, and `done` is about to say so.
  await pause(leaderPollMs, until)
}

async function readExit(child: Spawned): Promise<Exit> {
  const exit = await Promise.race([child.done, pause(exitWaitMs).then(() => undefined)])
  if (exit !== undefined) return exit
  throw new BelayError({
    code: 'refused',
    message: 'the step ended, but a process that it started and that cannot be found holds its output open',
    hint: 'Start background processes with their output redirected to a file.',
  })
}

/** The real path of a directory in the checkout. */
async function resolveInside(checkout: string, directory: string): Promise<string> {
  const root = await realpath(checkout)
  const wanted = resolve(root, directory)
  const real = await realpath(wanted).catch((error: unknown) => {
    throw new BelayError({
      code: 'refused',
      message: `there is no directory ${JSON.stringify(directory)} in the workspace`,
      hint: 'working_directory is relative to the root of the repository.',
      cause: error,
    })
  })
  const inside = relative(root, real)
  if (inside !== '..' && !inside.startsWith('../') && !isAbsolute(inside)) return real
  throw new BelayError({ code: 'refused', message: `the directory ${JSON.stringify(directory)} is outside the workspace` })
}

function removeQuietly(file: string): void {
  try {
    unlinkSync(file)
  } catch {
    // The step may have removed it, or its whole directory; it goes with the workspace anyway.
  }
}
