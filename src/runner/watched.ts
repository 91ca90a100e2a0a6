/** The runner's side of its watchdog: started before any work, told that we are there, told when we go in order. */
import { closeSync, openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import { messageOf } from '../domain/errors.ts'
import { writeFileDurably } from '../process/durable-file.ts'
import { isAlive, type ProcessIdentity } from '../process/identity.ts'
import { spawnProcess, stopGroup, type Spawned } from '../process/spawn.ts'
import type { Log } from './log.ts'
import { pause } from './stop.ts'

export interface WatchedOptions {
  /** The runner's own directory. */
  directory: string
  /** The program, which is given that directory as its last argument. */
  program: { file: string; args: readonly string[] }
  env: Readonly<Record<string, string>>
  log: Log
}

export interface Watched {
  /** To be called after each exchange with Temporal. */
  renew(): void
  /** In order: nothing runs any more. */
  release(): Promise<void>
}

const Identity = z.object({ pid: z.number().int().positive(), startTime: z.string(), bootId: z.string() })
const startAgainMs = 500
const releaseMs = 1_000

/** Ends the watchdog that an earlier life has left: it might take our steps for those of that one. Before anything is started. */
export async function endEarlierWatchdog(directory: string): Promise<void> {
  const earlier = findRecorded(directory)
  if (earlier !== undefined && isAlive(earlier)) await stopGroup(earlier, 0)
}

/** Throws if it cannot be started. One that dies is replaced. */
export async function startWatched(options: WatchedOptions): Promise<Watched> {
  const released = new AbortController()
  let watchdog = await spawnWatchdog(options)
  const keeping = (async () => {
    while (!released.signal.aborted) {
      await watchdog.done
      if (released.signal.aborted || !(await pause(startAgainMs, released.signal))) return
      options.log.warn({}, 'the watchdog died; started again')
      watchdog = await insist(options, released.signal, watchdog)
    }
  })()
  return {
    renew: () => void watchdog.send({ word: 'renewed' }),
    async release() {
      released.abort()
      watchdog.send({ word: 'released' })
      await Promise.race([watchdog.done, pause(releaseMs)])
      await stopGroup(watchdog.identity, 0)
      await keeping
    },
  }
}

async function insist(options: WatchedOptions, signal: AbortSignal, last: Spawned): Promise<Spawned> {
  do {
    try {
      return await spawnWatchdog(options)
    } catch (error) {
      options.log.error({ error: messageOf(error) }, 'the watchdog cannot be started')
    }
  } while (await pause(startAgainMs, signal))
  return last
}

async function spawnWatchdog({ directory, program, env }: WatchedOptions): Promise<Spawned> {
  const output = openSync(join(directory, 'watchdog.log'), 'a', 0o600)
  try {
    const spawned = await spawnProcess({
      file: program.file,
      args: [...program.args, directory],
      ...{ cwd: directory, env, output, ipc: true, outlive: true },
    })
    await note(directory, spawned)
    return spawned
  } finally {
    closeSync(output)
  }
}

/** One that is not written down is told nothing and found by nobody, and would end every step after its seven seconds. */
async function note(directory: string, { identity }: Spawned): Promise<void> {
  try {
    writeFileDurably(recordOf(directory), JSON.stringify(identity))
  } catch (error) {
    await stopGroup(identity, 0)
    throw error
  }
}

function findRecorded(directory: string): ProcessIdentity | undefined {
  try {
    return Identity.parse(JSON.parse(readFileSync(recordOf(directory), 'utf8')))
  } catch {
    // The first life.
    return undefined
  }
}

function recordOf(directory: string): string {
  return join(directory, 'watchdog.json')
}
