/**
 * The watchdog: a small process beside a runner that outlives it. When nothing is heard of the runner for seven seconds
 * (stopped, hung, cut off from Temporal), or when it has died, all of its steps are killed: Temporal gives their work to
 * somebody else after ten.
 */
import { messageOf } from '../src/domain/errors.ts'
import { cutSteps } from '../src/runner/cut-steps.ts'
import type { Log } from '../src/runner/log.ts'
import { endGroupsOf } from '../src/runner/step-groups.ts'
import { createLog } from './log.ts'

export interface WatchdogOptions {
  /** The runner's own directory. */
  directory: string
  /** Default: 7 s. */
  silenceMs?: number
  log?: Log
}

/** What the runner says, over the channel that it made. */
export interface WatchdogWord {
  /** `released`: it ends in order, and nothing of it runs. */
  word: 'renewed' | 'released'
}

const tickMs = 250
/** A longer time between two looks was our own stop or the machine's: of what the runner did meanwhile we know nothing. */
const longestTickMs = 1_000
const cutAgainMs = 1_000

/** Resolves when there is nothing left to watch. For a process whose parent is the runner, and which does nothing else. */
export async function start({ directory, silenceMs = 7_000, log = createLog('watchdog') }: WatchdogOptions): Promise<void> {
  // Whoever asks everything on this machine to end must not end this before the runner.
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => undefined)
  const runner = listen()
  for (let last = performance.now(); runner.state() === 'there';) {
    const silent = runner.silentMs() >= silenceMs
    await pause(silent ? cutAgainMs : tickMs)
    const now = performance.now()
    runner.wait(Math.min(now - last, longestTickMs))
    last = now
    // Over and over: what it begins while it is cut off has to end as well.
    if (runner.silentMs() >= silenceMs) await cut(directory, 'nothing was heard of the runner', log)
  }
  if (runner.state() === 'released') return
  await cut(directory, 'the runner is gone', log)
  await endGroupsOf(directory)
}

function listen() {
  let silentMs = 0
  let state: 'there' | 'released' | 'gone' = process.connected ? 'there' : 'gone'
  process.on('message', ({ word }: WatchdogWord) => {
    silentMs = 0
    if (word === 'released') state = 'released'
  })
  process.on('disconnect', () => {
    if (state === 'there') state = 'gone'
  })
  return { state: () => state, silentMs: () => silentMs, wait: (ms: number) => void (silentMs += ms) }
}

/** A journal that cannot be read now is read the next time. */
async function cut(directory: string, why: string, log: Log): Promise<void> {
  try {
    const steps = await cutSteps(directory)
    if (steps.length > 0) log.warn({ steps, why }, 'ended the steps of the runner')
  } catch (error) {
    log.error({ error: messageOf(error), why }, 'could not end the steps of the runner')
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
