/** The watchdog as a process of its own, from the compiled code, with steps that run, and a runner that this test plays. */
import { spawn, type ChildProcess } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { closeSync, existsSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { cgroupsMissing } from '../test/helpers/cgroups.ts'
import { skipUnless } from '../test/helpers/skips.ts'
import { until } from '../test/helpers/until.ts'
import { findCgroups } from '../src/process/find-cgroups.ts'
import { isAlive } from '../src/process/identity.ts'
import { spawnProcess, type Spawned } from '../src/process/spawn.ts'
import { createJournals, type Journal } from '../src/runner/journal.ts'
import { tagOf, tagVariable } from '../src/runner/leftovers.ts'
import { endGroupsOf, findGroupPlaces, openRunnerGroups } from '../src/runner/step-groups.ts'
import { silentLog } from '../src/runner/testing/wait-for.ts'
import { endEarlierWatchdog, startWatched, type Watched } from '../src/runner/watched.ts'

const compiled = new URL('../dist/workers/watchdog.js', import.meta.url)
/** Less than the runner's 7 s, so that the test is short. */
const silenceMs = 3_000

let directory: string
let steps: Spawned[]
let watchdog: ChildProcess | undefined
let watched: Watched | undefined
beforeEach(() => {
  if (!existsSync(fileURLToPath(compiled))) throw new Error('dist/workers/watchdog.js is not there: npm run build')
  directory = mkdtempSync(join(tmpdir(), 'belay-watchdog-'))
  mkdirSync(join(directory, 'journal'))
  steps = []
})
afterEach(async () => {
  watchdog?.kill('SIGKILL')
  watchdog = undefined
  await watched?.release()
  watched = undefined
  await Promise.all(steps.map((step) => step.stop(0)))
  await endGroupsOf(directory)
  rmSync(directory, { recursive: true, force: true })
})

function startWatchdog(output: 'ignore' | number = 'ignore'): ChildProcess {
  const script = `import(${JSON.stringify(compiled.href)}).then((part) => part.start(JSON.parse(process.argv[1]))).then(() => process.exit(0))`
  const options = JSON.stringify({ directory, silenceMs })
  watchdog = spawn(process.execPath, ['-e', script, options], { stdio: ['ignore', output, 'inherit', 'ipc'] })
  return watchdog
}

interface Running {
  step: Spawned
  journal: Journal
}

/** A step as the runner has it: in its journal, with its tag, and with a daemon that is found by the tag alone. */
async function runStep(name = 'hang'): Promise<Running> {
  const runId = randomUUID()
  const journal = createJournals(join(directory, 'journal')).begin({ runId, epoch: 1, work: 'segment', token: 'dG9rZW4=' })
  journal.started(name, 1)
  const env = { [tagVariable]: tagOf({ runId, epoch: 1 }), BELAY_STEP: name, BELAY_ATTEMPT: '1' }
  const step = await spawnProcess({
    ...{ file: 'sh', args: ['-c', `(setsid sh -c 'trap "" TERM; sleep 600' &); trap '' TERM; while :; do sleep 1; done`] },
    ...{ cwd: directory, env: { PATH: process.env['PATH'] ?? '', ...env } },
  })
  journal.spawned(name, step.identity)
  steps.push(step)
  return { step, journal }
}

/** Node has a handler for SIGTERM from its start; the watchdog's own for SIGHUP is made after that for SIGTERM. */
const hangup = 1

/** Has the process a handler for that signal? */
function handles(pid: number, signal: number): boolean {
  const caught = /^SigCgt:\s*([0-9a-f]+)$/m.exec(readFileSync(`/proc/${String(pid)}/status`, 'utf8'))?.[1] ?? '0'
  return ((BigInt(`0x${caught}`) >> BigInt(signal - 1)) & 1n) === 1n
}

const isOver = async (child: ChildProcess) =>
  await until('the watchdog ends', () => child.exitCode !== null || child.signalCode !== null)
const gone = async ({ step }: Running) => await until('the step has been ended', () => !isAlive(step.identity))

describe('the watchdog', () => {
  it('leaves the steps alone while it hears of the runner, and ends them when it does not', async () => {
    const child = startWatchdog()
    const running = await runStep()
    const began = performance.now()
    // Longer than it bears silence.
    await until('it has been told for a while', () => {
      child.send({ word: 'renewed' })
      return performance.now() - began > 2 * silenceMs
    })
    expect(isAlive(running.step.identity)).toBe(true)
    expect(running.journal.wasCut('hang', 1)).toBe(false)
    await gone(running)
    expect(running.journal.wasCut('hang', 1)).toBe(true)
    expect(running.journal.wasCut('hang', 2)).toBe(false)
  })

  it('ends also what the runner begins while it is cut off, and nothing once it is back', async () => {
    const child = startWatchdog()
    await gone(await runStep('first'))
    await gone(await runStep('second'))
    const began = performance.now()
    const third = await until('it has been told for a while', async () => {
      child.send({ word: 'renewed' })
      const running = performance.now() - began > 500 && steps.length === 2 ? await runStep('third') : undefined
      return running
    })
    child.send({ word: 'released' })
    await isOver(child)
    expect(isAlive(third.step.identity)).toBe(true)
  })

  it('ends one step after the other also where its log is on a full disk', async () => {
    skipUnless(existsSync('/dev/full'), 'writes to /dev/full, which only Linux has')
    const full = openSync('/dev/full', 'w')
    try {
      const child = startWatchdog(full)
      await gone(await runStep('first'))
      // Begun after the line about the first: whoever died of that line ends nothing more.
      await gone(await runStep('second'))
      expect(child.exitCode).toBeNull()
    } finally {
      closeSync(full)
    }
  })

  it('ends the steps of a runner that has died, and then itself', async () => {
    const child = startWatchdog()
    const running = await runStep()
    child.send({ word: 'renewed' })
    child.disconnect()
    await isOver(child)
    expect(isAlive(running.step.identity)).toBe(false)
    expect(createJournals(join(directory, 'journal')).list()).toMatchObject([{ interrupted: ['hang'], outcomes: [] }])
  })

  it('leaves no cgroup of a runner that has died, whatever is in it', async () => {
    const missing = cgroupsMissing()
    skipUnless(missing === undefined, missing ?? '')
    const { steps: groups } = openRunnerGroups(directory, findCgroups(), { pids: 64 })
    const stray = await spawnProcess({
      ...{ file: 'sh', args: ['-c', 'trap "" TERM; while :; do sleep 1; done'], cwd: directory },
      ...{ env: { PATH: process.env['PATH'] ?? '' }, group: groups?.create('not-in-any-journal') },
    })
    steps.push(stray)
    const child = startWatchdog()
    child.disconnect()
    await isOver(child)
    expect(isAlive(stray.identity)).toBe(false)
    expect(findGroupPlaces(directory).filter((place) => existsSync(place))).toEqual([])
    expect(findGroupPlaces(directory)).toHaveLength(2)
  })

  it('goes without a word when the runner ends in order, and not before', async () => {
    skipUnless(process.platform === 'linux', 'asks /proc whether a signal is handled, which only Linux has')
    const child = startWatchdog()
    const running = await runStep()
    await until('it heeds signals', () => handles(child.pid ?? 0, hangup))
    child.kill('SIGTERM')
    child.send({ word: 'released' })
    await isOver(child)
    expect(child.exitCode).toBe(0)
    expect(isAlive(running.step.identity)).toBe(true)
  })
})

describe('a runner', () => {
  const main = fileURLToPath(new URL('../dist/src/cli/main.js', import.meta.url))
  const start = async () => {
    const program = { file: process.execPath, args: [main, 'part', 'watchdog'] }
    return await startWatched({ directory, program, env: { PATH: process.env['PATH'] ?? '' }, log: silentLog })
  }
  const Recorded = z.object({ pid: z.number(), startTime: z.string(), bootId: z.string() })
  const recorded = () => Recorded.parse(JSON.parse(readFileSync(join(directory, 'watchdog.json'), 'utf8')))

  it('has another watchdog when one dies, and none once it has ended in order', async () => {
    watched = await start()
    const first = recorded()
    process.kill(first.pid, 'SIGKILL')
    const second = await until('another one is there', () => (recorded().pid === first.pid ? undefined : recorded()))
    expect(isAlive(second)).toBe(true)
    await watched.release()
    watched = undefined
    expect(isAlive(second)).toBe(false)
  })

  it('ends the one of an earlier life before it begins', async () => {
    watched = await start()
    const earlier = recorded()
    process.kill(earlier.pid, 'SIGSTOP')
    await endEarlierWatchdog(directory)
    expect(isAlive(earlier)).toBe(false)
  })
})
