/** The janitor on a real Temporal and a real store; nobody works on what it starts. */
import type { Client } from '@temporalio/client'
import { pino } from 'pino'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { startOwnTemporal, type OwnTemporal } from '../test/helpers/own-temporal.ts'
import { openFrontDoor, type FrontDoor } from '../test/helpers/front-door.ts'
import type { RecoveryInput } from '../src/contract/run-workflow.ts'
import { environmentWorkflowId, recoveryWorkflowId, runWorkflowId } from '../src/contract/workflow-ids.ts'
import { emptyEnvironment } from '../src/domain/environment-rules.ts'
import { RunIdentity } from '../src/domain/run.ts'
import type { Run } from '../src/store/store.ts'
import { lookAfterAll } from './janitor.ts'

const actor = { id: 'token:ana', name: 'ana' }
const trigger = {
  event: 'push' as const,
  source: 'api' as const,
  title: 'a commit',
  ref: 'refs/heads/main',
  branch: 'main',
  sha: 'a'.repeat(40),
  actor,
}

let temporal: OwnTemporal
let client: Client
let door: FrontDoor

beforeAll(async () => {
  temporal = await startOwnTemporal()
  client = temporal.client
}, 90_000)

// What beforeAll did not get to is not there.
afterAll(() => (temporal as OwnTemporal | undefined)?.stop())

beforeEach(async () => {
  door = await openFrontDoor({ temporal: temporal.address })
})

afterEach(() => door.close())

async function look(environments: string[] = []): Promise<void> {
  const log = pino({ level: 'silent' })
  await lookAfterAll({ store: door.store, client, environments, log }, new AbortController().signal)
}

async function acceptRun(): Promise<Run> {
  return door.store.runs.start({ project: 'shop', trigger, key: crypto.randomUUID() })
}

/** With its start acknowledged, and its workflow there. */
async function startRun(storeId = door.store.id): Promise<Run> {
  const run = await acceptRun()
  for (const { id } of await door.store.commands.lease({ owner: 'a', leaseMs: 30_000, limit: 10 }))
    await door.store.commands.done(id)
  await client.workflow.start('none', { taskQueue: 'nobody', workflowId: runWorkflowId(run.id), memo: { store: storeId } })
  return run
}

async function terminate(workflowId: string): Promise<void> {
  await client.workflow.getHandle(workflowId).terminate('a test')
}

/** The newest recovery of a run, if there is one, and what it was told. */
async function newestRecovery({ id }: Run): Promise<{ runId: string; input: RecoveryInput }[]> {
  const handle = client.workflow.getHandle(recoveryWorkflowId(id))
  const described = await handle.describe().catch(() => undefined)
  if (described === undefined) return []
  const { events } = await handle.fetchHistory()
  const [payload] = events?.[0]?.workflowExecutionStartedEventAttributes?.input?.payloads ?? []
  return [{ runId: described.runId, input: JSON.parse(Buffer.from(payload?.data ?? []).toString()) as RecoveryInput }]
}

test('a run whose start nobody acknowledged, one that goes on, one that has ended and one of another store are left alone', async () => {
  const [open, over, foreign] = [await startRun(), await startRun(), await startRun('another store')]
  const queued = await acceptRun()
  await door.store.runs.finish(over.id, { status: 'failed', at: 1 }, [])
  for (const { id } of [over, foreign]) await terminate(runWorkflowId(id))
  await look()
  for (const run of [queued, open, over, foreign]) expect(await newestRecovery(run)).toEqual([])
})

test.each(['terminated', 'deleted'])('one that was %s is recovered, once, however often one looks', async (how) => {
  const run = await startRun()
  await terminate(runWorkflowId(run.id))
  if (how === 'deleted') {
    const { workflowService } = temporal.connection
    await workflowService.deleteWorkflowExecution({
      namespace: 'default',
      workflowExecution: { workflowId: runWorkflowId(run.id) },
    })
  }
  await Promise.all([look(), look()])
  const recoveries = await newestRecovery(run)
  expect(recoveries).toMatchObject([{ input: { run: RunIdentity.parse(run) } }])
  expect(recoveries[0]?.input.previous).toBeUndefined()
  await look()
  expect(await newestRecovery(run)).toEqual(recoveries)
})

test('a recovery that was terminated itself is begun again, and told of the one before', async () => {
  const run = await startRun()
  await terminate(runWorkflowId(run.id))
  await look()
  const [first] = await newestRecovery(run)
  await terminate(recoveryWorkflowId(run.id))
  await look()
  const [second] = await newestRecovery(run)
  expect(second?.runId).not.toBe(first?.runId)
  expect(second?.input.previous).toBe(first?.runId)
})

test('an environment that is configured and was used is started again; others are not', async () => {
  for (const name of ['used', 'removed']) await door.store.environments.record(emptyEnvironment(name, 1))
  await look(['used', 'fresh'])
  const isOpen = async (name: string) => {
    const found = await client.workflow.getHandle(environmentWorkflowId(name)).describe().catch(() => undefined) // prettier-ignore
    return found?.status.name === 'RUNNING'
  }
  expect([await isOpen('used'), await isOpen('fresh'), await isOpen('removed')]).toEqual([true, false, false])
})
