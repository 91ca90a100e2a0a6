/**
 * The proof by trying: a real Belay, a stream of pushes, and whatever can be broken broken meanwhile. Then all is healed, and
 * what is remembered is held against the promise. docs/durability.md says how to run it.
 *
 * usage: npm run chaos -- [--seed NUMBER] [--minutes NUMBER] [--faults LIST|all|none] [--evidence DIRECTORY]
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { execa } from 'execa'
import { check } from './check.ts'
import { findUnfinished, findUnswept } from './drain.ts'
import type { Ledger } from './evidence.ts'
import { createFaults, type Faults } from './faults.ts'
import { saveHistories, saveOutputs } from './save.ts'
import { parseOptions, usage, type ChaosOptions } from './options.ts'
import { firstOf, pause, waitFor } from './pause.ts'
import { createPersons, type Persons } from './persons.ts'
import { createPushing, type Pushing } from './pushing.ts'
import { renderReport } from './report.ts'
import { startReviver, type Reviver } from './revive.ts'
import { makeSchedule, type Planned, type PlannedFault } from './schedule.ts'
import { noteProgress, readStory } from './story.ts'
import { startWorld, worldMissing, type ChaosWorld } from './world.ts'
import { runnerNames } from '../helpers/cluster.ts'

const top = fileURLToPath(new URL(import.meta.url.includes('/dist/') ? '../../..' : '../..', import.meta.url))
const healWithinMs = 5 * 60_000
/** From the end of the healing: for the checker, the evidence and the end of all processes. */
const endWithinMs = 10 * 60_000
/** More open runs than this, and the next push waits. */
const mostOpen = 12

process.exitCode = await main(process.argv.slice(2))

/** 0: no promise was broken. 1: one was, or something never came to an end. 2: it could not be tried. 130: interrupted. */
async function main(args: string[]): Promise<number> {
  let options: ChaosOptions
  try {
    options = parseOptions(args)
  } catch (error) {
    return refuse(`${error instanceof Error ? error.message : String(error)}\n${usage}`)
  }
  const missing = worldMissing()
  if (missing.length > 0) return refuse(`missing here:\n${missing.map((reason) => `  ${reason}`).join('\n')}`)
  const evidence =
    options.evidence === undefined ? mkdtempSync(join(tmpdir(), 'belay-chaos-evidence-')) : resolve(options.evidence)
  if (evidence.startsWith(top)) return refuse('the evidence does not belong into the repository: name another directory')
  mkdirSync(evidence, { recursive: true })
  const interrupted = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => interrupted.abort())
  return await runIn({ options, evidence, signal: interrupted.signal })
}

function refuse(why: string): number {
  process.stderr.write(`chaos: ${why}\n`)
  return 2
}

interface Setting {
  options: ChaosOptions
  evidence: string
  signal: AbortSignal
}

/** Whatever happens, nothing of the world is left. */
async function runIn({ options, evidence, signal }: Setting): Promise<number> {
  const directory = mkdtempSync(join(tmpdir(), 'belay-chaos-'))
  const startedAt = Date.now()
  const say = (line: string) =>
    process.stdout.write(`chaos ${((Date.now() - startedAt) / 1000).toFixed(0).padStart(5)} s  ${line}\n`)
  say(`seed ${String(options.seed)}, ${String(options.minutes)} minutes, faults ${options.faults}; evidence in ${evidence}`)
  let world: ChaosWorld | undefined
  const late = new AbortController()
  const tooLate = setTimeout(() => late.abort(), options.minutes * 60_000 + healWithinMs + endWithinMs)
  const over = new Promise<number>((done) => {
    const end = (why: string, code: number) => {
      say(why)
      done(code)
    }
    if (signal.aborted) end('interrupted', 130)
    signal.addEventListener('abort', () => end('interrupted: everything is ended', 130), { once: true })
    late.signal.addEventListener('abort', () => end('it did not come to its end in time: everything is ended', 1), { once: true })
  })
  try {
    const starting = startWorld(directory)
    world = await starting
    say('the world is there')
    const story = tell({ world, options, evidence, say, signal: firstOf(signal, late.signal) })
    // Left behind by an interruption, its end is nobody's business any more.
    story.catch(() => undefined)
    return await Promise.race([story, over])
  } catch (error) {
    say(`it could not be tried: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`)
    return 2
  } finally {
    clearTimeout(tooLate)
    if (world !== undefined) saveOutputs(world, evidence)
    await world?.stop().catch((error: unknown) => say(String(error)))
    rmSync(directory, { recursive: true, force: true, maxRetries: 5 })
    say('everything is ended')
  }
}

interface Telling extends Setting {
  world: ChaosWorld
  say(line: string): void
}

async function tell({ world, options, evidence, say, signal }: Telling): Promise<number> {
  const schedule = makeSchedule({ seed: options.seed, length: options.minutes * 60_000, chosen: options.chosen })
  const ledger: Ledger = {
    seed: options.seed,
    commit: await findCommit(),
    startedAt: Date.now(),
    posts: [],
    requests: [],
    unanswered: [],
    faults: [],
  }
  const save = (name: string, content: unknown) =>
    writeFileSync(join(evidence, name), `${JSON.stringify(content, undefined, 1)}\n`)
  save('schedule.json', { seed: options.seed, minutes: options.minutes, faults: options.faults, commit: ledger.commit, schedule })

  const breaking = new AbortController()
  const time = firstOf(signal, breaking.signal)
  const reviver = startReviver(world.cluster, { say, signal })
  const pushing = createPushing({ world, ledger, seed: options.seed, signal })
  const persons = createPersons({ world, ledger, signal })
  const faults = createFaults({ world, ledger, pushing, reviver, signal: time })
  const settling = settleAlways(persons, signal)
  try {
    await follow({ schedule, world, pushing, persons, faults, say, signal: time, length: options.minutes * 60_000 })
    breaking.abort()
    say(`healing: ${String(ledger.faults.length)} faults so far`)
    await faults.heal()
    await persons.release()
    if (signal.aborted) return 130
    const healing = await heal({ world, say, signal })
    await sweepOnce({ world, reviver, signal })
    if (signal.aborted) return 130
    ledger.healedAt = healing.healedAt
    await settling.stop()
    say('reading what is remembered')
    const story = await readStory(world)
    noteProgress(ledger, story, faults.markOf)
    save('ledger.json', ledger)
    save('story.json', story)
    const verdict = await check(world, ledger)
    save('verdict.json', verdict)
    await saveHistories({ world, story, verdict, evidence })
    const { unfinished } = healing
    const idle = new Map([...faults.idle, ...persons.refused])
    const { deployments } = story
    const report = renderReport({ ledger, verdict, deployments, schedule, idle, unfinished, healedWithinMs: healing.tookMs })
    writeFileSync(join(evidence, 'report.txt'), report)
    process.stdout.write(`\n${report}`)
    return verdict.violations.length === 0 && unfinished.length === 0 ? 0 : 1
  } finally {
    breaking.abort()
    await settling.stop()
    await reviver.stop()
    save('ledger.json', ledger)
  }
}

interface Following {
  schedule: readonly Planned[]
  world: ChaosWorld
  pushing: Pushing
  persons: Persons
  faults: Faults
  say(line: string): void
  signal: AbortSignal
  length: number
}

/** Each at its time, a push also when there is room for it; resolves when the time is up and everything begun has ended. */
async function follow({ schedule, world, pushing, persons, faults, say, signal, length }: Following): Promise<void> {
  const beganAt = Date.now()
  const under = new Map<Promise<void>, string>()
  const begin = (what: string, work: Promise<void>) => {
    const mine = work.catch((error: unknown) => say(`${what}: ${String(error)}`)).finally(() => under.delete(mine))
    under.set(mine, what)
  }
  const up = new AbortController()
  const timer = setTimeout(() => up.abort(), length)
  const time = firstOf(signal, up.signal)
  const roomy = async () =>
    (await world.store.runs.listOpen()).filter(({ status }) => status !== 'rollback_blocked').length < mostOpen
  const telling = setInterval(() => void sayHow(world, say), 15_000)

  async function push(planned: readonly (Planned & { do: 'push' })[]): Promise<void> {
    for (const one of planned) {
      await pause(beganAt + one.at - Date.now(), time)
      while (!time.aborted && !(await roomy())) await pause(250, time)
      if (time.aborted) return
      begin('push', pushing.push(one))
    }
  }

  async function others(planned: readonly Exclude<Planned, { do: 'push' }>[]): Promise<void> {
    for (const one of planned) {
      await pause(beganAt + one.at - Date.now(), time)
      if (time.aborted) return
      if (one.do === 'fault') begin(nameOf(one.fault), faults.inject(one.fault))
      else begin(one.do, persons.act(one))
    }
  }

  await Promise.all([
    push(schedule.filter((one) => one.do === 'push')),
    others(schedule.filter((one) => one.do !== 'push')),
    pause(length, time),
  ])
  clearInterval(telling)
  clearTimeout(timer)
  await faults.heal()
  const patient = setTimeout(() => say(`still at it: ${[...under.values()].join(', ')}`), 15_000)
  await Promise.race([Promise.all(under.keys()), pause(2 * 60_000, signal)])
  clearTimeout(patient)
}

function nameOf(fault: PlannedFault): string {
  return `${fault.family} ${Object.values(fault)
    .filter((value) => typeof value === 'string')
    .slice(1)
    .join(' ')}`
}

async function sayHow({ store }: ChaosWorld, say: (line: string) => void): Promise<void> {
  const open = await store.runs.listOpen()
  const [newest] = (await store.runs.list({ limit: 1 })).items
  const blocked = open.filter(({ status }) => status === 'rollback_blocked').length
  say(`${String(newest?.number ?? 0)} runs, ${String(open.length)} open, ${String(blocked)} blocked`)
}

/** Nothing is broken any more; waits until nothing is under way. */
async function heal({ world, say, signal }: Pick<Telling, 'world' | 'say' | 'signal'>) {
  const healedAt = Date.now()
  let unfinished = await findUnfinished(world)
  let told = 0
  while (unfinished.length > 0 && Date.now() - healedAt < healWithinMs && !signal.aborted) {
    if (Date.now() - told > 15_000) {
      say(`waiting for ${String(unfinished.length)}: ${unfinished[0] ?? ''}`)
      told = Date.now()
    }
    await pause(500, signal)
    unfinished = await findUnfinished(world)
  }
  return { healedAt, unfinished, tookMs: Date.now() - healedAt }
}

/** What a missed close has left on a runner is removed at the runner's next start, or within five minutes: we do not wait for these. */
async function sweepOnce({
  world,
  reviver,
  signal,
}: {
  world: ChaosWorld
  reviver: Reviver
  signal: AbortSignal
}): Promise<void> {
  if (findUnswept(world).length === 0 || signal.aborted) return
  for (const runner of runnerNames) await world.cluster.kill(runner)
  await waitFor(() => (runnerNames.every((name) => reviver.isUp(name)) ? true : undefined), { ms: 60_000, signal })
  await waitFor(() => (findUnswept(world).length === 0 ? true : undefined), { ms: 30_000, signal })
}

/** People look every second whether an undo is blocked. */
function settleAlways(persons: Persons, signal: AbortSignal): { stop(): Promise<void> } {
  const stopping = new AbortController()
  const over = firstOf(signal, stopping.signal)
  const settling = (async () => {
    while (!over.aborted) {
      await persons.settle().catch(() => undefined) // The next look finds it again.
      await pause(1_000, over)
    }
  })()
  return {
    async stop() {
      stopping.abort()
      await settling
    },
  }
}

async function findCommit(): Promise<string> {
  const git = async (...args: string[]) => (await execa('git', args, { cwd: top, reject: false })).stdout ?? ''
  const commit = await git('rev-parse', 'HEAD')
  if (commit === '') return 'unknown'
  return (await git('status', '--porcelain')) === '' ? commit : `${commit} with changes`
}
