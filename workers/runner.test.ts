/** The runner as a worker of a real Temporal, with real Git and the server's API on a socket. */
import { randomUUID } from 'node:crypto'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Client, Connection } from '@temporalio/client'
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest'
import { startGitServer, type GitServer } from '../test/helpers/git-server.ts'
import { until } from '../test/helpers/until.ts'
import type { RunnerActivities, SegmentInput } from '../src/contract/activities.ts'
import { failureTypes } from '../src/contract/failures.ts'
import { runnerQueue, taskQueues } from '../src/contract/task-queues.ts'
import { findTemporal } from '../src/embedded/temporal/find-temporal.ts'
import { startTemporal, type TemporalServer } from '../src/embedded/temporal/start-temporal.ts'
import { cutSteps } from '../src/runner/cut-steps.ts'
import { commandsStep, planOf, runOf } from '../src/runner/testing/plan.ts'
import { startRunnerApiDouble, type RunnerApiDouble } from '../src/runner/testing/runner-api-double.ts'
import { silentLog } from '../src/runner/testing/wait-for.ts'
import { start, type RunnerOptions } from './runner.ts'

const planDigest = `sha256:${'a'.repeat(64)}`

let temporal: TemporalServer
let temporalDirectory: string
let connection: Connection
let git: GitServer
let repository: { url: string; sha: string }
let base: string
let server: RunnerApiDouble
let runId: string
let runner: { stop(): Promise<void> } | undefined

beforeAll(async () => {
  const found = await findTemporal({ env: { ...process.env, TEMPORAL_ADDRESS: '' } })
  if (found.kind !== 'program') throw new Error('expected a program')
  temporalDirectory = mkdtempSync(join(tmpdir(), 'belay-temporal-'))
  temporal = await startTemporal({ program: found.file, directory: temporalDirectory, log: join(temporalDirectory, 'log') })
  connection = await Connection.connect({ address: temporal.address })
  git = await startGitServer()
  const { url, commit } = await git.createRepository('shop')
  repository = { url, sha: await commit({ files: { '.belay.yml': 'steps: {}\n' }, message: 'first' }) }
}, 300_000)
afterAll(async () => {
  await connection.close()
  await git.stop()
  await temporal.stop(0)
  rmSync(temporalDirectory, { recursive: true, force: true })
})

beforeEach(async () => {
  base = mkdtempSync(join(tmpdir(), 'belay-runner-'))
  server = await startRunnerApiDouble()
  runId = randomUUID()
})
afterEach(async () => {
  await stopRunner()
  await server.stop()
  rmSync(base, { recursive: true, force: true })
})

function runnerOptions(over: Partial<RunnerOptions> = {}): RunnerOptions {
  const places = { runner: join(base, 'runner'), workspaces: join(base, 'work'), images: join(base, 'images') }
  const path = process.env['PATH'] ?? ''
  const common = { name: 'r1', slots: 2, labels: ['linux'], graceMs: 1_000, log: silentLog, path, places }
  return { ...common, serverUrl: server.url, token: 'runner-token', temporal, ...over }
}
async function stopRunner(): Promise<void> {
  await runner?.stop()
  runner = undefined
}

const client = () => new Client({ connection }).activity.typed<RunnerActivities>()
const options = (taskQueue: string) => ({
  ...{ id: randomUUID(), taskQueue, startToCloseTimeout: '60s' as const },
  ...{ heartbeatTimeout: '10s' as const, retry: { maximumAttempts: 1 } },
})
const open = async () =>
  await client().execute('openWorkspace', {
    ...options(taskQueues.openings),
    args: [
      {
        workspace: { runId, epoch: 1 },
        repository: { project: 'shop', url: repository.url },
        sha: repository.sha,
        artifacts: [],
      },
    ],
  })
function segment(epoch = 1): SegmentInput {
  const run = runOf(runId, repository.sha)
  return { workspace: { runId, epoch }, run, planDigest, segment: 0, outcomes: [], interruptions: {} }
}
const startSegment = async (epoch = 1) =>
  await client().start('runSegment', { ...options(runnerQueue('r1')), args: [segment(epoch)] })
const checkout = (file: string) => join(base, 'work', runId, 'checkout', file)

it('opens a workspace from the shared queue, runs a segment on its own, and closes', async () => {
  server.plans.set(
    planDigest,
    planOf([commandsStep('a', ['cat .belay.yml > copy']), commandsStep('b', ['exit 4'], { needs: ['a'] })]),
  )
  runner = await start(runnerOptions())
  expect(await open()).toEqual({ runner: 'r1', files: [{ path: '.belay.yml', text: 'steps: {}\n' }] })
  const result = await (await startSegment()).result()
  expect(result).toMatchObject({
    ended: 'complete',
    outcomes: [
      { step: 'a', status: 'succeeded' },
      { step: 'b', status: 'failed', exitCode: 4 },
    ],
  })
  expect(existsSync(checkout('copy'))).toBe(true)
  await client().execute('closeWorkspace', { ...options(runnerQueue('r1')), args: [{ runId }] })
  expect(existsSync(checkout('..'))).toBe(false)
  const gone: unknown = await (await startSegment(2)).result().catch((error: unknown) => error)
  expect(gone).toMatchObject({ cause: { type: 'WorkspaceGone', nonRetryable: true } })
}, 60_000)

it('returns what there is when the segment is cancelled, within a few seconds', async () => {
  server.plans.set(planDigest, planOf([commandsStep('a', ['touch begun', 'sleep 600'])]))
  runner = await start(runnerOptions())
  await open()
  const handle = await startSegment()
  await until('the step has begun', () => existsSync(checkout('begun')))
  await handle.cancel('a person asked')
  expect(await handle.result()).toMatchObject({ ended: 'cancelled', outcomes: [{ step: 'a', status: 'cancelled' }] })
}, 60_000)

it('drains when it is stopped, and its next life goes on in the same directory', async () => {
  server.plans.set(planDigest, planOf([commandsStep('a', ['touch begun', 'test -e go || sleep 600'])]))
  runner = await start(runnerOptions())
  await open()
  const handle = await startSegment()
  await until('the step has begun', () => existsSync(checkout('begun')))
  await stopRunner()
  expect(await handle.result()).toEqual({ ended: 'drained', outcomes: [] })
  server.plans.set(planDigest, planOf([commandsStep('a', ['touch begun', 'sleep 0'])]))
  rmSync(join(base, 'runner', 'plans'), { recursive: true })
  runner = await start(runnerOptions())
  const result = await (await startSegment(2)).result()
  expect(result).toMatchObject({ ended: 'complete', outcomes: [{ step: 'a', epoch: 2, status: 'succeeded' }] })
}, 60_000)

it('says that a step was interrupted, not that it failed, when the watchdog has ended it', async () => {
  const lines = ['echo b >> begun', 'test "$(wc -l < begun)" = 2 || sleep 600']
  server.plans.set(planDigest, planOf([commandsStep('a', ['true']), commandsStep('b', lines, { needs: ['a'] })]))
  runner = await start(runnerOptions())
  await open()
  const handle = await startSegment()
  await until('the step has begun', () => existsSync(checkout('begun')))
  expect(await cutSteps(join(base, 'runner'))).toEqual([`${runId}/b`])
  const cause: unknown = await handle.result().catch((error: unknown) => (error instanceof Error ? error.cause : undefined))
  expect(cause).toMatchObject({
    type: failureTypes.runnerRestarted,
    details: [{ interrupted: ['b'], outcomes: [{ step: 'a', status: 'succeeded' }] }],
  })
  const result = await (await startSegment(2)).result()
  expect(result).toMatchObject({
    ended: 'complete',
    outcomes: [
      { step: 'a', epoch: 1, status: 'succeeded' },
      { step: 'b', epoch: 2, attempt: 1, status: 'succeeded' },
    ],
  })
}, 60_000)

it('lets no second runner into its directory', async () => {
  runner = await start(runnerOptions())
  await expect(start(runnerOptions({ name: 'r2' }))).rejects.toMatchObject({ code: 'conflict' })
}, 60_000)
