// Long because the flood, the kills in it and everything that they are held against are one story.
/**
 * Two of everything, one database: a flood of signed posts to both servers, some of them to both at once, while a server, a
 * control and a runner are killed in the middle of their work. Every delivery is one run for each pipeline, and what a
 * finished step did was done once.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Client, Connection } from '@temporalio/client'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { runWorkflowId } from '../../src/contract/workflow-ids.ts'
import type { StoredRunEvent } from '../../src/domain/run-event.ts'
import type { Run, StepRow } from '../../src/store/store.ts'
import { readAllPages } from '../contracts/store/samples.ts'
import { controlNames, machineNames, runnerNames, serverNames, serverOf, startCluster } from '../helpers/cluster.ts'
import type { Cluster, ControlName, RunnerName, ServerName } from '../helpers/cluster.ts'
import { postPush } from '../helpers/hook.ts'
import { postgresMissing, postgresPassword } from '../helpers/postgres.ts'
import { skipUnless } from '../helpers/skips.ts'
import { until } from '../helpers/until.ts'

const deliveryCount = 200
/** Every third of them is posted to both servers at once. */
const postCount = deliveryCount + Math.ceil((deliveryCount - 1) / 3)
/** Of every fourth the commit has two pipelines. */
const runCount = deliveryCount + Math.ceil((deliveryCount - 1) / 4)
const commitCount = 20
const postsAtOnce = 10
const victimServer = 'server-a'

const missing = postgresMissing()
let cluster: Cluster
let connection: Connection
let held: Held
let killed: { control: ControlName; runner: RunnerName }
let runs: EndedRun[]

interface Push {
  deliveryId: string
  branch: string
  sha: string
}

/** A run that has ended, with all that is remembered of it and what its steps did outside of it. */
interface EndedRun {
  run: Run
  steps: StepRow[]
  events: StoredRunEvent[]
  /** The runner its workspace was on. */
  runner: string
}

/** What was posted, and what came of it. */
const sent = {
  posts: 0,
  redelivered: 0,
  accepted: 0,
  known: 0,
  inFlight: { 'server-a': 0, 'server-b': 0 },
  answered: { 'server-a': 0, 'server-b': 0 },
  /** By delivery: the runs that its answers named. */
  runs: new Map<string, Set<string>>(),
}
let tellAtWork: () => void = () => undefined
const serverAtWork = new Promise<void>((resolve) => (tellAtWork = resolve))

beforeAll(async () => {
  if (missing !== undefined) return
  cluster = await startCluster()
  connection = await Connection.connect({ address: cluster.temporal })
  const { pushes, heldPush } = await commitAll()
  held = await hold(heldPush)
  const half = Math.floor(pushes.length / 2)
  await Promise.all([killServerAtWork(), postAll(pushes.slice(0, half))])
  await cluster.start(victimServer)
  const [control, runner] = await Promise.all([killControlAtWork(), killRunnerAtWork(), postAll(pushes.slice(half))])
  killed = { control, runner }
  await until('every run but the held one has ended', async () => (await cluster.store.runs.listOpen()).length === 1, 150_000)
  await until('the reader sees the held step begin again', () => countLines(held.output, 'step hold begins') === 2)
  held.letGo()
  await held.followed
  runs = await readRuns()
  report()
}, 240_000)

afterAll(async () => {
  // There is none if PostgreSQL is missing.
  await (connection as Connection | undefined)?.close()
  await (cluster as Cluster | undefined)?.stop()
}, 120_000)

beforeEach(() => skipUnless(missing === undefined, missing ?? ''))

describe('a flood of posts to two servers, with a server, a control and a runner killed at work', () => {
  test('every post was answered with its run, and all answers to a delivery name the same one', () => {
    expect(sent.runs.size).toBe(deliveryCount)
    expect([...sent.runs.values()].filter((ids) => ids.size !== 1)).toEqual([])
    expect(sent.redelivered).toBeGreaterThan(0)
    expect(sent.posts).toBe(postCount + sent.redelivered)
    expect(sent.accepted + sent.known).toBe(postCount)
    // A server that was killed may have taken a post without answering it.
    expect(sent.accepted).toBeLessThanOrEqual(deliveryCount)
  })

  test('every delivery is one run for each pipeline, and there are no others', async () => {
    const deliveries = await readAllPages((cursor) => cluster.store.deliveries.list({ limit: 200, cursor }))
    expect(deliveries.items.map(({ deliveryId }) => deliveryId).toSorted()).toEqual([...sent.runs.keys()].toSorted())
    const wrong = deliveries.items.flatMap(({ sequence, deliveryId }) => {
      const made = runs.filter(({ run }) => run.sequence === sequence).map(({ run }) => String(run.pipelineName))
      const expected = deliveryId === held.deliveryId ? ['held'] : hasTwo(indexOf(deliveryId)) ? ['one', 'two'] : ['one']
      return made.toSorted().join() === expected.join() ? [] : [{ deliveryId, made }]
    })
    expect(wrong).toEqual([])
    expect(runs).toHaveLength(runCount)
  })

  test('every run succeeded', () => {
    const others = runs.filter(({ run }) => run.status !== 'succeeded')
    expect(others.map(({ run: { number, status, reason } }) => ({ number, status, reason }))).toEqual([])
  })

  test('runs are numbered from 1, without gap and without double', () => {
    const numbers = runs.map(({ run }) => run.number).toSorted((a, b) => a - b)
    expect(numbers).toEqual(Array.from({ length: runCount }, (_, index) => index + 1))
  })

  test('each step has one row, succeeded at the first attempt', () => {
    const wrong = runs.filter(({ run, steps }) => {
      const rows = steps.map(({ step, attempt, status }) => `${step} ${String(attempt)} ${status}`)
      return (
        rows.toSorted().join() !==
        stepsOf(run)
          .map((step) => `${step} 1 succeeded`)
          .join()
      )
    })
    expect(wrong.map(({ run, steps }) => ({ number: run.number, steps }))).toEqual([])
  })

  test('what a step does was done once, but by those that the killed runner had in hand, and by them at most twice', () => {
    const effects = countEffects()
    const wrong = runs.flatMap((ended) =>
      ended.steps.flatMap((row) => {
        const done = effects.get(`${row.runId} ${row.step}`) ?? { begun: 0, ended: 0 }
        const most = wasCut(ended, row) ? 2 : 1
        return done.ended >= 1 && done.ended <= done.begun && done.begun <= most ? [] : [{ run: ended.run.number, row, done }]
      }),
    )
    expect(wrong).toEqual([])
    expect(effects.size).toBe(runs.reduce((sum, { steps }) => sum + steps.length, 0))
  })

  test('the step that the killed runner was in the middle of was begun again, on the same runner, and ended once', () => {
    expect(countEffects().get(`${held.id} hold`)).toEqual({ begun: 2, ended: 1 })
    const [{ runner, steps } = { runner: '', steps: [] }] = runs.filter(({ run }) => run.id === held.id)
    expect(runner).toBe(killed.runner)
    expect(steps).toMatchObject([{ step: 'hold', attempt: 1, epoch: 2 }])
  })

  test('events are numbered without gap, each once', () => {
    const wrong = runs.filter(({ events }) => {
      const names = new Set(events.map(({ source, epoch, n }) => `${source} ${String(epoch)} ${String(n)}`))
      return names.size !== events.length || events.some(({ seq }, index) => seq !== index + 1)
    })
    expect(wrong.map(({ run }) => run.number)).toEqual([])
  })

  test('who follows a run through the server that its runner does not speak to sees it live, and all of it once', () => {
    const [{ events } = { events: [] }] = runs.filter(({ run }) => run.id === held.id)
    expect(held.seenWhileHeld).toContain(`runner/${held.runner}`)
    expect(held.events).toEqual(events)
    expect([countLines(held.output, 'step hold begins'), countLines(held.output, 'step hold ends')]).toEqual([2, 1])
    expect(held.output).toContain('cut off: the runner was killed')
  })

  test('the log of every step is whole, and the same through either server', { timeout: 120_000 }, async () => {
    let torn = runs.flatMap(({ run }) => stepsOf(run).map((step) => ({ id: run.id, step })))
    // What is still on its way comes; what was dropped is named.
    const whole = until('every log is whole', async () => {
      torn = await withoutWhole(torn)
      return torn.length === 0
    })
    await whole.catch(() => undefined)
    expect(torn).toEqual([])
  })

  test('both servers took posts, and both runners took work', () => {
    for (const server of serverNames) expect(sent.answered[server]).toBeGreaterThan(0)
    for (const runner of runnerNames) expect(runs.filter((ended) => ended.runner === runner).length).toBeGreaterThan(0)
  })

  test('the admin has one token, made by the first machine and good at both servers', async () => {
    const tokens = await cluster.store.tokens.list({})
    expect(tokens.items.filter(({ role }) => role === 'admin')).toHaveLength(1)
    expect(cluster.adminTokens).toHaveLength(1)
    for (const server of serverNames) expect((await cluster.clientOf(server).listRunners()).items).toHaveLength(2)
  })

  test('nothing that any machine printed holds a secret', () => {
    const secrets = [cluster.hookSecret, postgresPassword, encodeURIComponent(postgresPassword), ...cluster.adminTokens, 'bls_']
    const printed = machineNames.map((machine) => cluster.output(machine))
    expect(secrets.filter((secret) => printed.some((text) => text.includes(secret)))).toEqual([])
    expect(printed.every((text) => text.length > 0)).toBe(true)
  })
})

// --- what is posted ------------------------------------------------------------------------------------------------------

/** Both marks are short appends to one file: the kernel keeps them whole. */
function pipeline(steps: readonly string[], middle: string): string {
  const mark = (what: string) => `echo "${what} $BELAY_RUN_ID $BELAY_STEP" >> ${join(cluster.notes, 'effects')}`
  const lines = ['echo "step $BELAY_STEP begins"', mark('begin'), middle, mark('end'), 'echo "step $BELAY_STEP ends"']
  return `steps:\n${steps.map((step) => `  ${step}:\n    commands:\n${lines.map((line) => `      - '${line}'\n`).join('')}`).join('')}`
}

/** All that a step says, but for the lines that say what it was told to do. */
function expectedLog(step: string): string {
  const middle = step === 'hold' ? [] : Array.from({ length: 40 }, (_, index) => String(index + 1))
  return [`step ${step} begins`, ...middle, `step ${step} ends`, ''].join('\n')
}

function stepsOf({ pipelineName }: Run): string[] {
  if (pipelineName === 'one') return ['first', 'second']
  return pipelineName === 'two' ? ['only'] : ['hold']
}

/** Of a commit, and of the deliveries that name it: every `commitCount`th. */
function hasTwo(index: number): boolean {
  return index % 4 === 0
}

async function commitAll(): Promise<{ pushes: Push[]; heldPush: Push }> {
  const repository = await cluster.git.createRepository('flood')
  const one = pipeline(['first', 'second'], 'seq 1 40')
  const two = pipeline(['only'], 'seq 1 40')
  const commits: string[] = []
  for (let n = 0; n < commitCount; n += 1) {
    const files = { '.belay/one.yml': one, '.belay/two.yml': hasTwo(n) ? two : null, n: String(n) }
    commits.push(await repository.commit({ files, message: `commit ${String(n)}` }))
  }
  const waiting = pipeline(['hold'], `until [ -e ${join(cluster.notes, 'go')} ]; do sleep 0.1; done`)
  const sha = await repository.commit({
    files: { '.belay/one.yml': null, '.belay/two.yml': null, '.belay/held.yml': waiting },
    message: 'held',
    branch: 'held',
  })
  const pushes = Array.from({ length: deliveryCount - 1 }, (_, index) => {
    return { deliveryId: `delivery-${String(index)}`, branch: 'main', sha: commits[index % commitCount] ?? '' }
  })
  return { pushes, heldPush: { deliveryId: 'delivery-held', branch: 'held', sha } }
}

function indexOf(deliveryId: string): number {
  return Number(deliveryId.split('-')[1])
}

/** Each to one server, in turn, and every third to both at once. */
async function postAll(pushes: readonly Push[]): Promise<void> {
  await inTurn(pushes, async (push) => {
    const [a, b] = serverNames
    const index = indexOf(push.deliveryId)
    const servers = index % 3 === 0 ? [a, b] : [index % 3 === 1 ? a : b]
    await Promise.all(servers.map((server) => post(push, server)))
  })
}

/** Without a 2xx it is posted again, with the same id and to the other server. */
async function post(push: Push, server: ServerName): Promise<string> {
  let via = server
  const refusals: unknown[] = []
  while (refusals.length < 4) {
    sent.posts += 1
    const answer = await tryToPost(push, via)
    if (answer.type === 'taken') return answer.runId
    refusals.push(answer.why)
    sent.redelivered += 1
    via = via === 'server-a' ? 'server-b' : 'server-a'
  }
  throw new Error(`${push.deliveryId} was never taken: ${refusals.map(String).join('; ')}`)
}

async function tryToPost(
  push: Push,
  server: ServerName,
): Promise<{ type: 'taken'; runId: string } | { type: 'not'; why: unknown }> {
  const hook = { url: `${cluster.urlOf(server)}/hooks/flood`, secret: cluster.hookSecret, message: 'a commit', ...push }
  sent.inFlight[server] += 1
  const answer = await postPush(hook)
    .catch((error: unknown) => ({ error }))
    .finally(() => (sent.inFlight[server] -= 1))
  if ('error' in answer) return { type: 'not', why: answer.error }
  if (answer.status !== 202 && answer.status !== 200) return { type: 'not', why: answer.status }
  const { id } = (answer.body as { run: { id: string } }).run
  if (answer.status === 202) sent.accepted += 1
  else sent.known += 1
  sent.runs.set(push.deliveryId, (sent.runs.get(push.deliveryId) ?? new Set()).add(id))
  sent.answered[server] += 1
  if (server === victimServer && sent.answered[server] >= 20 && sent.inFlight[server] > 0) tellAtWork()
  return { type: 'taken', runId: id }
}

/** A few at a time. */
async function inTurn<T>(items: readonly T[], work: (item: T) => Promise<unknown>): Promise<void> {
  const queue = [...items]
  const worker = async () => {
    for (let item = queue.shift(); item !== undefined; item = queue.shift()) await work(item)
  }
  await Promise.all(Array.from({ length: postsAtOnce }, worker))
}

// --- what is killed ------------------------------------------------------------------------------------------------------

/** With posts that it has not answered. */
async function killServerAtWork(): Promise<void> {
  await serverAtWork
  await cluster.kill(victimServer)
}

/** One that has the newest workflow task of a run that goes on. */
async function killControlAtWork(): Promise<ControlName> {
  const control = await until('a control is at work on a run', async () => {
    for (const { id } of (await cluster.store.runs.listOpen()).filter(({ status }) => status === 'running')) {
      const worker = await findWorkerOf(id)
      const found = controlNames.find((name) => worker?.startsWith(`${String(cluster.pid(name))}@`))
      if (found !== undefined) return found
    }
    return undefined
  })
  await cluster.kill(control)
  await cluster.start(control)
  return control
}

async function findWorkerOf(runId: string): Promise<string | undefined> {
  const { events } = await new Client({ connection }).workflow.getHandle(runWorkflowId(runId)).fetchHistory()
  const tasks = events?.flatMap(({ workflowTaskStartedEventAttributes: task }) => task?.identity ?? [])
  return tasks?.at(-1)
}

/** It is in the middle of the held step. */
async function killRunnerAtWork(): Promise<RunnerName> {
  const { runner } = held
  expect(countEffects().get(`${held.id} hold`)).toEqual({ begun: 1, ended: 0 })
  await cluster.kill(runner)
  await cluster.start(runner)
  return runner
}

interface Held {
  deliveryId: string
  id: string
  runner: RunnerName
  /** What a reader sees of it through the server that its runner does not speak to. */
  events: StoredRunEvent[]
  output: string
  /** Sources of the events that this reader had seen before anything was killed, and long before the run's end. */
  seenWhileHeld: string[]
  /** Resolves when the reader has come to the end of events and output. */
  followed: Promise<unknown>
  letGo(): void
}

/** A run whose step waits for us. */
async function hold(push: Push): Promise<Held> {
  const id = await post(push, 'server-b')
  const runner = await until('a runner has the held run', async () => {
    const [event] = (await cluster.store.runs.events(id, { after: 0, limit: 100 })).filter(
      ({ body }) => body.type === 'workspace',
    )
    return event?.body.type === 'workspace' ? runnerNames.find((name) => name === nameOf(event)) : undefined
  })
  const reader = cluster.clientOf(serverNames.find((name) => name !== serverOf[runner]) ?? 'server-b')
  const events: StoredRunEvent[] = []
  const readEvents = async () => {
    for await (const item of reader.followRun({ id })) if (item.type === 'event') events.push(item.event)
  }
  const readOutput = async () => {
    for await (const item of reader.followLog({ id }, 'hold')) if (item.type === 'chunk') made.output += item.text
  }
  const made: Held = {
    ...{ deliveryId: push.deliveryId, id, runner, events, output: '', seenWhileHeld: [] },
    followed: Promise.resolve(),
    letGo: () => writeFileSync(join(cluster.notes, 'go'), ''),
  }
  await until('the plan of the held run is there', async () => (await cluster.store.runs.find(id))?.planDigest !== undefined)
  made.followed = Promise.all([readEvents(), readOutput()])
  await until('the reader sees the step at work', () => {
    return made.output.includes('step hold begins') && events.some(({ source }) => source === `runner/${runner}`)
  })
  made.seenWhileHeld = events.map(({ source }) => source)
  return made
}

// --- what came of it -----------------------------------------------------------------------------------------------------

async function readRuns(): Promise<EndedRun[]> {
  const { store } = cluster
  const { items } = await readAllPages((cursor) => store.runs.list({ limit: 200, cursor }))
  const ended: EndedRun[] = []
  await inTurn(items, async (run) => {
    const [steps, events] = await Promise.all([store.runs.steps(run.id), store.runs.events(run.id, { after: 0, limit: 1_000 })])
    const runner = events.map(nameOf).find((name) => name !== undefined) ?? 'none'
    ended.push({ run, steps, events, runner })
  })
  return ended
}

function nameOf({ body }: StoredRunEvent): string | undefined {
  return body.type === 'workspace' ? body.runner : undefined
}

/** By run and step: how often it was begun and ended, by its own word. */
function countEffects(): Map<string, { begun: number; ended: number }> {
  const file = join(cluster.notes, 'effects')
  const counts = new Map<string, { begun: number; ended: number }>()
  for (const line of existsSync(file) ? readFileSync(file, 'utf8').trim().split('\n') : []) {
    const [what, runId, step] = line.split(' ')
    const key = `${String(runId)} ${String(step)}`
    const count = counts.get(key) ?? { begun: 0, ended: 0 }
    count[what === 'begin' ? 'begun' : 'ended'] += 1
    counts.set(key, count)
  }
  return counts
}

/** Was it cut short by the kill of its runner? Then it ended under a later epoch than the first. */
function wasCut({ runner }: EndedRun, { epoch }: StepRow): boolean {
  return runner === killed.runner && epoch > 1
}

async function withoutWhole(logs: readonly { id: string; step: string }[]): Promise<{ id: string; step: string }[]> {
  const torn: { id: string; step: string }[] = []
  await inTurn(logs, async (log) => {
    const texts = await Promise.all(serverNames.map((server) => readLog(server, log.id, log.step)))
    if (!texts.every((text) => text.endsWith(expectedLog(log.step)) && text === texts[0])) torn.push(log)
  })
  return torn
}

/** Lines of a text that are just this. */
function countLines(text: string, line: string): number {
  return text.split('\n').filter((candidate) => candidate === line).length
}

async function readLog(server: ServerName, id: string, step: string): Promise<string> {
  const chunks: Uint8Array[] = []
  for await (const chunk of cluster.clientOf(server).readLog({ id }, step)) chunks.push(chunk)
  return Buffer.concat(chunks)
    .toString('utf8')
    .replaceAll(/^\$ .*\n/gm, '')
}

function report(): void {
  const effects = [...countEffects().values()]
  const rows = {
    deliveries: deliveryCount,
    posts: sent.posts,
    'accepted (202)': sent.accepted,
    'known (200)': sent.known,
    redelivered: sent.redelivered,
    runs: runs.length,
    succeeded: runs.filter(({ run }) => run.status === 'succeeded').length,
    killed: `${victimServer}, ${killed.control}, ${killed.runner}`,
    'runs by runner': runnerNames.map((name) => String(runs.filter(({ runner }) => runner === name).length)).join(' + '),
    'steps begun again': effects.filter(({ begun }) => begun > 1).length,
    'steps done twice': effects.filter(({ ended }) => ended > 1).length,
  }
  const lines = Object.entries(rows).map(([name, value]) => `  ${name.padEnd(18)} ${String(value)}\n`)
  process.stdout.write(`many machines\n${lines.join('')}`)
}
