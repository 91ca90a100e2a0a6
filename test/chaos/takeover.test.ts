// Long because the cluster, the kills and what is held against them are one story.
/**
 * Runners that are gone for good: another one takes over what they had in hand. What was done in the lost workspace is done
 * again as a new attempt, what lies elsewhere is kept, and what may have happened is taken back first.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Client, Connection } from '@temporalio/client'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { runWorkflowId } from '../../src/contract/workflow-ids.ts'
import { isEndedRun } from '../../src/domain/run.ts'
import type { StepChange } from '../../src/domain/run-event.ts'
import { runnerNames, startCluster, type Cluster, type RunnerName } from '../helpers/cluster.ts'
import type { GitRepository } from '../helpers/git-repository.ts'
import { postPush } from '../helpers/hook.ts'
import { postgresMissing } from '../helpers/postgres.ts'
import { skipUnless } from '../helpers/skips.ts'
import { until } from '../helpers/until.ts'

/** As Temporal numbers the ways to time out. */
const heartbeatTimeout = 4

const missing = postgresMissing()
let cluster: Cluster
let connection: Connection
let repository: GitRepository
let branches = 0
/** Runners that are to be there again for the next test. */
const killed: RunnerName[] = []

beforeAll(async () => {
  if (missing !== undefined) return
  cluster = await startCluster()
  connection = await Connection.connect({ address: cluster.temporal })
  repository = await cluster.git.createRepository('flood')
  await repository.commit({ files: { 'a.txt': 'a' }, message: 'the first one' })
}, 120_000)

afterAll(async () => {
  // There is none if PostgreSQL is missing.
  await (connection as Connection | undefined)?.close()
  await (cluster as Cluster | undefined)?.stop()
}, 120_000)

beforeEach(() => skipUnless(missing === undefined, missing ?? ''))

afterEach(async () => {
  for (const name of killed.splice(0)) await cluster.start(name)
})

describe('a runner that is gone for good in the middle of a step', () => {
  test('is replaced: what was done is done again, what has an undo is kept, artifacts are those of before', async () => {
    const id = await start(`steps:
  build:
    commands: [${note('build')}, "date +%N > made.txt; cat made.txt"]
    artifacts: { paths: [made.txt] }
  migrate:
    commands: [${note('migrate')}]
    undo: { commands: [${note('back')}] }
  hold:
    commands: [${note('hold')}, test -e made.txt, "until [ -e NOTES/go ]; do sleep 0.1; done"]
  last:
    commands: [${note('last')}, cat made.txt]
`)
    const lost = await whenNoted(id, 'hold')
    await until('its log is at the server', async () => (await readLogs(id, 'hold')).some((text) => text.includes('$ until')))
    const [artifact] = (await newest(id, 'build')).result?.artifacts ?? []
    await kill(lost)
    const taken = await whenTakenFrom(id, lost)
    await until('the step begins again', () => notes(id, 'hold') === 2)
    writeFileSync(join(cluster.notes, 'go'), '')
    await endsWell(id)
    expect(taken).toBe(otherThan(lost))
    expect(await outline(id)).toEqual([
      'build 1 errored',
      'build 2 succeeded',
      'hold 1 succeeded',
      'last 1 succeeded',
      'migrate 1 succeeded',
    ])
    expect((await rows(id))[0]).toMatchObject({ reason: `its workspace was lost with runner "${lost}"` })
    expect(['build', 'migrate', 'hold', 'last', 'back'].map((step) => notes(id, step))).toEqual([2, 1, 2, 1, 0])
    expect((await newest(id, 'build')).result?.artifacts).toEqual([artifact])
    const [cut, whole] = await readLogs(id, 'hold')
    expect(cut).toMatch(new RegExp(`\\n\\[belay\\] cut off: runner "${lost}" was lost\\n$`))
    expect(whole).not.toContain('cut off')
    // Nobody waited for a queue that nobody reads.
    expect(await timeOuts(id)).toEqual([heartbeatTimeout])
  })

  test('leaves what lies under the newest checkpoint: only what came after it is done again', async () => {
    const id = await start(`steps:
  build:
    commands: [${note('build')}, mkdir -p made; echo 1 > made/of-build; rm a.txt; echo kept > "$HOME/cache"]
  link:
    commands: [${note('link')}, ln -s of-build made/link; chmod 700 made/of-build]
    checkpoint: true
  after:
    commands: [${note('after')}, touch made/after]
  hold:
    commands: [${note('hold')}, "until [ -e NOTES/go-checkpoint ]; do sleep 0.1; done"]
  last:
    commands: [cat made/link "$HOME/cache", test -x made/of-build, test -e made/after, "test ! -e a.txt", git status]
`)
    const lost = await whenNoted(id, 'hold')
    await kill(lost)
    await whenTakenFrom(id, lost)
    writeFileSync(join(cluster.notes, 'go-checkpoint'), '')
    await endsWell(id)
    expect(['build', 'link', 'after', 'hold'].map((step) => notes(id, step))).toEqual([1, 1, 2, 2])
    const kept = (await rows(id)).filter(({ step }) => step === 'build' || step === 'link')
    expect(kept).toMatchObject(['build', 'link'].map((step) => ({ step, attempt: 1, epoch: 1, status: 'succeeded' })))
  })

  test('had perhaps begun a step with an undo: it is taken back first, and done again if its retry says so', async () => {
    const id = await start(`steps:
  once:
    commands: [${note('once')}, "until [ -e NOTES/go-on ]; do sleep 0.1; done"]
    undo: { commands: [${note('back')}] }
    retry: { max: 1, on: [errored] }
`)
    const lost = await whenNoted(id, 'once')
    await kill(lost)
    await until('the step begins again', () => notes(id, 'once') === 2)
    expect(notes(id, 'back')).toBe(1)
    writeFileSync(join(cluster.notes, 'go-on'), '')
    await endsWell(id)
    expect(await outline(id)).toEqual(['once 1 errored', 'once 2 succeeded'])
    expect(notes(id, 'back')).toBe(1)
  })

  test('and without a retry the run is taken back elsewhere, also if that undo loses its runner, too', async () => {
    const id = await start(`steps:
  once:
    commands: [${note('once')}, sleep 300]
    undo: { commands: [${note('back')}, "until [ -e NOTES/back ]; do sleep 0.1; done"] }
`)
    const lost = await whenNoted(id, 'once')
    await kill(lost)
    const second = await whenNoted(id, 'back')
    await bringBack(lost)
    await kill(second)
    await until('the undo begins again', () => notes(id, 'back') === 2)
    writeFileSync(join(cluster.notes, 'back'), '')
    const run = await end(id)
    expect(run).toMatchObject({ status: 'rolled_back', reason: expect.stringContaining(`runner "${lost}" was lost`) })
    expect(notes(id, 'once')).toBe(1)
  })

  test('is waited for if there is no other, and then has everything as it was', async () => {
    const id = await start(holding('at-last'))
    const lost = await whenNoted(id, 'hold')
    const other = otherThan(lost)
    await kill(other)
    await kill(lost)
    await until('the run says what it waits for', async () => (await events(id)).some(({ type }) => type === 'waiting'), 90_000)
    await until('both are told to be away', async () => {
      const { items } = await cluster.clientOf('server-a').listRunners()
      return items.every(({ status }) => status === 'INACTIVE')
    })
    await bringBack(lost)
    writeFileSync(join(cluster.notes, 'at-last'), '')
    await endsWell(id)
    expect(await outline(id)).toEqual(['build 1 succeeded', 'hold 1 succeeded', 'migrate 1 succeeded'])
    expect(['build', 'migrate', 'hold'].map((step) => notes(id, step))).toEqual([1, 1, 2])
  })

  test('had been told to stop: what it had goes on there, as it was, if it is started again at once', async () => {
    const id = await start(holding('restarted'))
    const stopped = await whenNoted(id, 'hold')
    await cluster.shutDown(stopped)
    await cluster.start(stopped)
    await until('the step begins again', () => notes(id, 'hold') === 2)
    writeFileSync(join(cluster.notes, 'restarted'), '')
    await endsWell(id)
    expect(await outline(id)).toEqual(['build 1 succeeded', 'hold 1 succeeded', 'migrate 1 succeeded'])
    expect(['build', 'migrate', 'hold', 'back'].map((step) => notes(id, step))).toEqual([1, 1, 2, 0])
    expect(new Set(await opened(id))).toEqual(new Set([stopped]))
  })

  test('had been told to stop: what it had goes on elsewhere if it stays away', async () => {
    const id = await start(holding('elsewhere'))
    const stopped = await whenNoted(id, 'hold')
    killed.push(stopped)
    await cluster.shutDown(stopped)
    await whenTakenFrom(id, stopped)
    writeFileSync(join(cluster.notes, 'elsewhere'), '')
    await endsWell(id)
    expect(await outline(id)).toEqual(['build 1 errored', 'build 2 succeeded', 'hold 1 succeeded', 'migrate 1 succeeded'])
    expect(['build', 'migrate', 'hold', 'back'].map((step) => notes(id, step))).toEqual([2, 1, 2, 0])
    expect((await readLogs(id, 'hold'))[0]).toContain('[belay] cut off: the runner is being stopped\n')
  })

  test('and each change of a runner was told once, by one of the two servers', async () => {
    const { items } = await cluster.store.audit.list({ limit: 200 })
    const told = items.filter(({ action }) => action.startsWith('runner.')).toReversed()
    for (const name of runnerNames) {
      const changes = told.flatMap(({ actor, action }) => (actor === `runner/${name}` ? [action] : []))
      expect(changes.length).toBeGreaterThan(2)
      const inTurn = changes.map((_, index) => (index % 2 === 0 ? 'runner.active' : 'runner.inactive'))
      expect(changes).toEqual(inTurn)
    }
  })
})

// --- what is driven ------------------------------------------------------------------------------------------------------

/** A command that leaves a line outside of all workspaces. */
function note(step: string): string {
  return `echo "$BELAY_RUN_ID ${step}" >> NOTES/effects`
}

/** A pipeline whose last step waits for that file. */
function holding(file: string): string {
  return `steps:
  build:
    commands: [${note('build')}, touch made.txt]
  migrate:
    commands: [${note('migrate')}]
    undo: { commands: [${note('back')}] }
  hold:
    commands: [${note('hold')}, test -e made.txt, "until [ -e NOTES/${file} ]; do sleep 0.1; done"]
`
}

function notes(runId: string, step: string): number {
  const file = join(cluster.notes, 'effects')
  const lines = existsSync(file) ? readFileSync(file, 'utf8').split('\n') : []
  return lines.filter((line) => line === `${runId} ${step}`).length
}

async function start(pipeline: string): Promise<string> {
  branches += 1
  const branch = `branch-${String(branches)}`
  const files = { '.belay.yml': pipeline.replaceAll('NOTES', cluster.notes) }
  const sha = await repository.commit({ files, message: branch, branch })
  const answer = await postPush({
    url: `${cluster.urlOf('server-a')}/hooks/flood`,
    secret: cluster.hookSecret,
    message: branch,
    sha,
    branch,
  })
  expect(answer.status).toBe(202)
  return (answer.body as { run: { id: string } }).run.id
}

async function kill(runner: RunnerName): Promise<void> {
  killed.push(runner)
  await cluster.kill(runner)
}

async function bringBack(runner: RunnerName): Promise<void> {
  killed.splice(killed.indexOf(runner), 1)
  await cluster.start(runner)
}

async function whenNoted(runId: string, step: string): Promise<RunnerName> {
  const isUnderWay = async () => {
    const run = await cluster.store.runs.find(runId)
    if (run !== undefined && isEndedRun(run.status)) throw new Error(`the run ended ${run.status}: ${run.reason ?? ''}`)
    return notes(runId, step) > 0
  }
  await until(`${step} is under way`, isUnderWay, 90_000)
  const holder = (await opened(runId)).at(-1)
  if (holder === undefined) throw new Error('nobody has the workspace')
  return holder
}

async function whenTakenFrom(runId: string, lost: RunnerName): Promise<RunnerName> {
  const from = performance.now()
  const taken = await until('another runner takes over', async () => (await opened(runId)).find((name) => name !== lost), 90_000)
  process.stdout.write(`takeover: ${taken} had it ${((performance.now() - from) / 1000).toFixed(1)} s after ${lost} was killed\n`)
  return taken
}

async function opened(runId: string): Promise<RunnerName[]> {
  return (await events(runId)).flatMap((body) =>
    body.type === 'workspace' && body.status === 'opened' ? runnerNames.filter((name) => name === body.runner) : [],
  )
}

function otherThan(runner: RunnerName): RunnerName {
  return runner === 'runner-a' ? 'runner-b' : 'runner-a'
}

async function endsWell(runId: string): Promise<void> {
  const { status, reason } = await end(runId)
  expect([status, reason]).toEqual(['succeeded', undefined])
}

async function end(runId: string) {
  return await until(
    'the run ends',
    async () => {
      const run = await cluster.store.runs.find(runId)
      return run !== undefined && (isEndedRun(run.status) || run.status === 'rollback_blocked') ? run : undefined
    },
    120_000,
  )
}

// --- what came of it -----------------------------------------------------------------------------------------------------

async function events(runId: string) {
  return (await cluster.store.runs.events(runId, { after: 0, limit: 1_000 })).map(({ body }) => body)
}

async function rows(runId: string): Promise<StepChange[]> {
  return (await cluster.store.runs.steps(runId)).toSorted((a, b) => a.step.localeCompare(b.step) || a.attempt - b.attempt)
}

async function outline(runId: string): Promise<string[]> {
  return (await rows(runId)).map(({ step, attempt, status }) => `${step} ${String(attempt)} ${status}`)
}

async function newest(runId: string, step: string): Promise<StepChange> {
  const row = (await rows(runId)).findLast((candidate) => candidate.step === step)
  if (row === undefined) throw new Error(`the run has no row of ${step}`)
  return row
}

/** Of every epoch, oldest first. */
async function readLogs(runId: string, step: string): Promise<string[]> {
  const logs = await cluster.store.logs.list(runId, step)
  const read = logs.map((log) => cluster.store.logs.read(log, { offset: 0, length: log.sizeBytes }))
  return (await Promise.all(read)).map((bytes) => bytes.toString('utf8'))
}

/** How activities of the run timed out. */
async function timeOuts(runId: string): Promise<unknown[]> {
  const { events: found } = await new Client({ connection }).workflow.getHandle(runWorkflowId(runId)).fetchHistory()
  return (found ?? []).flatMap(
    ({ activityTaskTimedOutEventAttributes: task }) => task?.failure?.timeoutFailureInfo?.timeoutType ?? [],
  )
}
