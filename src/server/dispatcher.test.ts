import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Client, Connection, WorkflowNotFoundError } from '@temporalio/client'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { openFrontDoor, startPlannedRun, type FrontDoor } from '../../test/helpers/front-door.ts'
import { until } from '../../test/helpers/until.ts'
import { runWorkflowId } from '../contract/workflow-ids.ts'
import { findTemporal } from '../embedded/temporal/find-temporal.ts'
import { startTemporal, type TemporalServer } from '../embedded/temporal/start-temporal.ts'
import { findFreePort } from '../process/free-port.ts'
import { startDispatcher, type Dispatcher } from './dispatcher.ts'
import { createOrchestrator } from './orchestrator.ts'

let directory: string
let program: string
let temporal: TemporalServer
let connection: Connection
let client: Client
let door: FrontDoor
const dispatchers: Dispatcher[] = []

beforeAll(async () => {
  const found = await findTemporal({ env: { ...process.env, TEMPORAL_ADDRESS: '' } })
  if (found.kind !== 'program') throw new Error('expected a program')
  program = found.file
  directory = await mkdtemp(join(tmpdir(), 'belay-dispatcher-'))
  temporal = await startTemporal({ program, directory: join(directory, 'temporal'), log: join(directory, 'log') })
  connection = await Connection.connect({ address: temporal.address })
  client = new Client({ connection })
}, 300_000)

beforeEach(async () => {
  door = await openFrontDoor({ temporal: temporal.address })
})

afterEach(async () => {
  await Promise.all(dispatchers.splice(0).map((dispatcher) => dispatcher.stop()))
  await door.close()
})

afterAll(async () => {
  await connection.close()
  await temporal.stop(0)
  await rm(directory, { recursive: true, force: true })
})

describe('start', () => {
  test('a queued run becomes one workflow, which names our store and has what the trigger fixed as argument', async () => {
    const run = await startPlannedRun(door.store)
    dispatch()
    await delivered()
    const description = await describeRun(run.id)
    expect(description).toMatchObject({ type: 'run', taskQueue: 'control', memo: { store: door.store.id } })
    const started = (await eventsOf(run.id)).find((event) => event.workflowExecutionStartedEventAttributes)
    const { input, workflowTaskTimeout } = started?.workflowExecutionStartedEventAttributes ?? {}
    const argument = JSON.parse(Buffer.from(input?.payloads?.[0]?.data ?? []).toString('utf8')) as Record<string, unknown>
    const { id, number, project, sequence, trigger } = run
    expect(argument).toEqual({
      run: { id, number, project, sequence, trigger },
      repository: { project: 'shop', url: 'https://git.example/acme/shop.git' },
    })
    expect(Number(workflowTaskTimeout?.seconds)).toBe(5)
  })

  test('carried twice, because the first acknowledgement was lost, is one workflow', async () => {
    const run = await startPlannedRun(door.store)
    const input = { run, repository: { project: 'shop', url: 'https://git.example/x.git' } }
    expect(await door.orchestrator.startRun(input)).toBe('started')
    expect(await door.orchestrator.startRun(input)).toBe('started')
    dispatch()
    await delivered()
    expect((await door.store.runs.find(run.id))?.status).toBe('queued')
  })

  test("a stranger's workflow of the same id is not ours: the run ends errored and says so", async () => {
    const run = await startPlannedRun(door.store)
    const stranger = createOrchestrator({ address: temporal.address, namespace: 'default', storeId: 'another store' })
    await stranger.startRun({ run, repository: { project: 'shop', url: 'https://git.example/x.git' } })
    await stranger.close()
    dispatch()
    await delivered()
    expect(await door.store.runs.find(run.id)).toMatchObject({
      status: 'errored',
      reason: expect.stringContaining('another store'),
    })
    expect(await door.store.runs.events(run.id, { after: 0, limit: 10 })).toMatchObject([{ body: { status: 'errored' } }])
  })

  test('a run whose project has left the configuration ends errored and says so', async () => {
    const run = await startPlannedRun(door.store)
    dispatchers.push(startDispatcher({ ...door, config: { ...door.config, projects: {} } }))
    await delivered()
    expect(await door.store.runs.find(run.id)).toMatchObject({ status: 'errored', reason: expect.stringContaining('shop') })
    await expect(describeRun(run.id)).rejects.toThrow(WorkflowNotFoundError)
  })

  test('many runs and several dispatchers: each run is one workflow', async () => {
    const runs = await Promise.all(Array.from({ length: 30 }, () => startPlannedRun(door.store)))
    dispatch()
    dispatch()
    await delivered(runs.length)
    for (const run of runs) expect((await describeRun(run.id)).memo).toEqual({ store: door.store.id })
  })
})

describe('cancel', () => {
  test('of a run that Temporal has is a signal with who and why', async () => {
    const run = await startPlannedRun(door.store)
    dispatch()
    await delivered()
    await door.store.runs.cancel({ runId: run.id, actor: { id: 'token:ana', name: 'ana' }, reason: 'wrong' })
    await delivered(2)
    const signal = (await eventsOf(run.id)).find((event) => event.workflowExecutionSignaledEventAttributes)
    const { signalName, input } = signal?.workflowExecutionSignaledEventAttributes ?? {}
    expect(signalName).toBe('cancel')
    expect(Buffer.from(input?.payloads?.[0]?.data ?? []).toString('utf8')).toBe(
      JSON.stringify({ actor: { id: 'token:ana', name: 'ana' }, reason: 'wrong' }),
    )
  })

  test('of a workflow that is not there, or is closed, is delivered', async () => {
    const run = await startPlannedRun(door.store)
    const request = { actor: { id: 'belay', name: 'belay' } }
    await expect(door.orchestrator.cancelRun(run, request)).resolves.toBeUndefined()
    await expect(door.orchestrator.settleUndo(run, { id: 'settle', action: 'retry', ...request })).resolves.toBeUndefined()
    await door.orchestrator.startRun({ run, repository: { project: 'shop', url: 'https://git.example/x.git' } })
    await client.workflow.getHandle(runWorkflowId(run.id)).terminate()
    await expect(door.orchestrator.cancelRun(run, request)).resolves.toBeUndefined()
  })

  test('where the namespace is missing is not delivered, and nothing is settled there: that says nothing of the workflow', async () => {
    const run = await startPlannedRun(door.store)
    const lost = createOrchestrator({ address: temporal.address, namespace: 'nowhere', storeId: door.store.id })
    const actor = { id: 'belay', name: 'belay' }
    const missing = { code: 'internal', message: expect.stringContaining('nowhere') as string }
    await expect(lost.cancelRun(run, { actor })).rejects.toMatchObject(missing)
    await expect(lost.settleUndo(run, { id: 'settle', action: 'retry', actor })).rejects.toMatchObject(missing)
    await lost.close()
  })
})

describe('Temporal away', () => {
  test('commands wait, and are carried when it comes', async () => {
    const port = await findFreePort()
    const late = await openFrontDoor({ temporal: `127.0.0.1:${String(port)}` })
    await mkdir(join(directory, 'late'))
    const places = { program, directory: join(directory, 'late'), log: join(directory, 'late.log'), port }
    let server: TemporalServer | undefined
    let dispatcher: Dispatcher | undefined
    try {
      const run = await startPlannedRun(late.store)
      dispatcher = startDispatcher(late)
      await until('it has failed at least once', () => late.logged().includes('command not delivered yet'))
      expect((await late.store.runs.find(run.id))?.status).toBe('queued')
      server = await startTemporal(places)
      await until('the run is carried', () => late.logged().includes('command delivered'))
      await expect(late.orchestrator.ping()).resolves.toBeUndefined()
    } finally {
      await dispatcher?.stop()
      await late.close()
      await server?.stop(0)
    }
  }, 120_000)

  test('a rollback that no worker answers is unavailable after 10 s, and the environment is started for when one comes', async () => {
    const request = { id: 'rollback/test', environment: 'staging', actor: { id: 'token:ana', name: 'ana' } }
    await expect(door.orchestrator.rollBack(request)).rejects.toMatchObject({
      code: 'unavailable',
      retryable: true,
      hint: expect.any(String),
    })
  }, 60_000)
})

function dispatch(): void {
  dispatchers.push(startDispatcher(door))
}

/** As many commands were carried as there were, by what was logged. */
async function delivered(count = 1): Promise<void> {
  await until(`${String(count)} commands are delivered`, () => door.logged().split('command delivered').length > count)
}

function describeRun(runId: string) {
  return client.workflow.getHandle(runWorkflowId(runId)).describe()
}

async function eventsOf(runId: string) {
  return (await client.workflow.getHandle(runWorkflowId(runId)).fetchHistory()).events ?? []
}
