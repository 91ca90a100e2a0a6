/** The whole check against a real Temporal: what it lists, what is stuck there, and what its histories hold. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Client, Connection } from '@temporalio/client'
import { DefaultLogger, Runtime } from '@temporalio/worker'
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import { findTemporal } from '../../../src/embedded/temporal/find-temporal.ts'
import { startTemporal, type TemporalServer } from '../../../src/embedded/temporal/start-temporal.ts'
import type { Run } from '../../../src/store/store.ts'
import { until } from '../../helpers/until.ts'
import { check } from '../check.ts'
import { runIdOf } from '../temporal-view.ts'
import { linesOf, smallWorlds, type SmallWorld } from './testing.ts'

const openWorld = smallWorlds()
const taskQueue = 'nobody'
let temporal: TemporalServer
let directory: string
let connection: Connection
let client: Client
let namespaces = 0

beforeAll(async () => {
  // What does not replay is the checker's to tell.
  Runtime.install({ logger: new DefaultLogger('ERROR'), telemetryOptions: { logging: { filter: 'OFF', forward: {} } } })
  const found = await findTemporal({ env: { ...process.env, TEMPORAL_ADDRESS: '' } })
  if (found.kind !== 'program') throw new Error('expected a program')
  directory = mkdtempSync(join(tmpdir(), 'belay-temporal-'))
  temporal = await startTemporal({ program: found.file, directory, log: join(directory, 'log') })
  connection = await Connection.connect({ address: temporal.address })
}, 300_000)

beforeEach(async () => {
  namespaces += 1
  const namespace = `world-${String(namespaces)}`
  await connection.workflowService.registerNamespace({
    namespace,
    workflowExecutionRetentionPeriod: { seconds: (24 * 3_600) as never },
  })
  client = new Client({ connection, namespace })
})

afterAll(async () => {
  await (connection as Connection | undefined)?.close()
  await (temporal as TemporalServer | undefined)?.stop()
  if (directory !== undefined) rmSync(directory, { recursive: true, force: true })
})

/** A world whose one run ended well, with its workflow still to be started. */
async function ended(): Promise<{ small: SmallWorld; run: Run }> {
  const small = await openWorld()
  small.world.temporal = { address: temporal.address, namespace: client.options.namespace }
  const [run] = await small.deliver()
  if (run === undefined) throw new Error('no run')
  await small.carryOut(run)
  const body = { state: 'success', context: 'belay/one', description: '', target_url: run.id }
  await fetch(`${small.world.forge.url}/repos/a/b/statuses/${run.trigger.sha}`, { method: 'POST', body: JSON.stringify(body) })
  return { small, run }
}

async function start(type: string, workflowId: string, ...args: unknown[]) {
  return until('the namespace is known', () =>
    client.workflow.start(type, { taskQueue, workflowId, args }).catch((error: unknown) => {
      if (String(error instanceof Error ? (error.cause ?? error) : error).includes('Namespace')) return undefined
      throw error
    }),
  )
}

/** Takes its workflow task as a worker does. */
async function takeTask(): Promise<Uint8Array> {
  const { namespace } = client.options
  const poll = { namespace, taskQueue: { name: taskQueue }, identity: 'a test' }
  const task = await connection.withDeadline(Date.now() + 60_000, () => connection.workflowService.pollWorkflowTaskQueue(poll))
  return task.taskToken
}

async function judge({ world, ledger }: SmallWorld): Promise<string[]> {
  return linesOf((await check(world, ledger)).violations)
}

it('says nothing of a world in which everything is right, and how much it looked at', async () => {
  const { small, run } = await ended()
  const handle = await start('run', `run/${run.id}`, { run })
  await handle.terminate('a fault')
  small.ledger.faults.push({ at: 1, name: 'terminate run', about: `run/${run.id}` })
  small.world.environments = [{ name: 'production', url: 'http://127.0.0.1:1' }]
  const verdict = await check(small.world, small.ledger)
  expect(linesOf(verdict.violations)).toEqual([])
  expect(Object.keys(verdict.looked).filter((name) => /^I\d$/.test(name))).toEqual([
    'I1',
    'I2',
    'I3',
    'I4',
    'I5',
    'I6',
    'I7',
    'I8',
  ])
  expect(verdict.counts).toEqual({
    'deliveries in all': 1,
    'effects begin': 1,
    'effects commit status success': 1,
    'effects end': 1,
    'runs in all': 1,
    'runs succeeded': 1,
  })
})

it('a workflow that outlives its run, and a canary in what it was started with', async () => {
  const { small, run } = await ended()
  await start('run', `run/${run.id}`, { run, note: small.world.canaries[0] })
  const said = (await judge(small)).join('\n')
  expect(said).toContain(`I2 run ${run.id}: ended succeeded, and run/${run.id} is still open`)
  expect(said).toMatch(new RegExp(`I7 history of run/${run.id} .*: holds canary 1, JSON-escaped`))
})

it('a workflow whose task fails over and over', async () => {
  const { small, run } = await ended()
  await start('environment', 'environment/production', { name: run.id })
  const { namespace } = client.options
  await connection.workflowService.respondWorkflowTaskFailed({
    namespace,
    taskToken: await takeTask(),
    failure: { message: 'a bug of ours' },
  })
  expect((await judge(small)).join('\n')).toContain(
    'I2 workflow environment/production: its newest event says that a workflow task failed: a bug of ours',
  )
})

it('a history that today’s code would not have made', async () => {
  const { small, run } = await ended()
  await start('run', `run/${run.id}`, { run })
  const { namespace } = client.options
  const completed = { commandType: 4, completeWorkflowExecutionCommandAttributes: {} }
  await connection.workflowService.respondWorkflowTaskCompleted({ namespace, taskToken: await takeTask(), commands: [completed] })
  expect((await judge(small)).join('\n')).toMatch(new RegExp(`I8 history of run/${run.id} .*: does not replay: `))
})

it('an environment that has a state, and whose workflow is gone', async () => {
  const { small, run } = await ended()
  await start('run', `run/${run.id}`, { run })
  small.world.environments = [{ name: 'production', url: 'http://127.0.0.1:1' }]
  await small.store.environments.record({
    ...{ name: 'production', fence: 1, revision: 1, history: [], queue: [], rollbacks: [], undos: [], answers: [], newest: {} },
  })
  expect((await judge(small)).join('\n')).toContain('I3 environment production: its workflow does not answer: ')
})

it('a world of which nothing is left to look at', async () => {
  const small = await openWorld()
  small.world.temporal = { address: temporal.address, namespace: 'default' }
  const said = await judge(small)
  for (const invariant of ['I1', 'I2', 'I3', 'I4', 'I6', 'I8'])
    expect(said).toContain(`${invariant} the check: looked at nothing`)
})

it.each([
  ['run/0a0a0a0a-0000-4000-8000-000000000000', true],
  ['run/0a0a0a0a-0000-4000-8000-000000000000/retry-2', true],
  ['recovery/0a0a0a0a-0000-4000-8000-000000000000', true],
  ['environment/0a0a0a0a-0000-4000-8000-000000000000', false],
])('%s is a workflow of a run: %s', (workflowId, is) => {
  expect(runIdOf({ workflowId })).toBe(is ? '0a0a0a0a-0000-4000-8000-000000000000' : undefined)
})
