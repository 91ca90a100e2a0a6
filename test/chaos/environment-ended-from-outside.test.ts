/** Somebody ends an environment's workflow inside Temporal: the next one brings what it had begun to its end, and goes on. */
import { randomUUID } from 'node:crypto'
import { renameSync } from 'node:fs'
import { join } from 'node:path'
import { Client, Connection } from '@temporalio/client'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { RunDetail } from '../../src/api/run-schemas.ts'
import { findUpState } from '../../src/cli/up/up-file.ts'
import { environmentStateQuery } from '../../src/contract/environment-workflow.ts'
import { environmentWorkflowId } from '../../src/contract/workflow-ids.ts'
import type { Deployment, DeploymentPhase } from '../../src/domain/environment.ts'
import { isEndedRun } from '../../src/domain/run.ts'
import { deploying, startScenario, type Scenario } from '../helpers/scenario.ts'
import { until } from '../helpers/until.ts'

const environments = ['idle', 'watched', 'starting', 'undoing', 'back']
/** The janitor comes every 30 s, what was under way gets 20 s, and this machine may be busy. */
const limitMs = 240_000

let scenario: Scenario
let connection: Connection
let temporal: Client

beforeAll(async () => {
  scenario = await startScenario({ environments, config: 'runners: { slots: 6 }\n' })
  connection = await Connection.connect({ address: findUpState(scenario.system.data)?.temporal ?? '' })
  temporal = new Client({ connection })
})

afterAll(async () => {
  await connection.close()
  await scenario.stop()
})

async function terminate(environment: string): Promise<void> {
  await temporal.workflow.getHandle(environmentWorkflowId(environment)).terminate('a test')
}

function ended(runId: string): Promise<RunDetail> {
  return until(
    'the run ends',
    async () => {
      const run = await scenario.system.client.getRun({ id: runId })
      return isEndedRun(run.status) ? run : undefined
    },
    limitMs / 2,
  )
}

async function served(environment: string): Promise<string> {
  const response = await fetch(`${scenario.system.edgeOf(environment)}/version`)
  return response.ok ? await response.text() : String(response.status)
}

async function release(version: string, environment: string): Promise<void> {
  expect(await scenario.run(deploying({ version, environment }))).toMatchObject({ status: 'succeeded' })
}

async function reached(runId: string, phase: DeploymentPhase): Promise<void> {
  await until(`the deployment is in ${phase}`, async () =>
    (await scenario.events(runId)).some(({ body }) => body.type === 'deployment' && body.phase === phase),
  )
}

/** What it goes back to cannot be started until the images are put back. */
function takeImagesAway(): () => void {
  const images = join(scenario.system.data, 'images/hello')
  renameSync(images, `${images}-away`)
  return () => renameSync(`${images}-away`, images)
}

test('an idle one is started again by the janitor, and serves as before', { timeout: limitMs }, async () => {
  await release('kept', 'idle')
  await terminate('idle')
  const isOpen = async () =>
    (await temporal.workflow.getHandle(environmentWorkflowId('idle')).describe()).status.name === 'RUNNING'
  await until('its workflow is open', isOpen, limitMs / 2)
  expect(await served('idle')).toBe('kept')
  await release('next', 'idle')
})

test('what it watched is taken back, and what was queued behind that is deployed', { timeout: limitMs }, async () => {
  await release('kept', 'watched')
  const watched = await scenario.start(deploying({ version: 'watched', environment: 'watched', bake: '5m' }))
  await until('it is watched', async () => (await served('watched')) === 'watched')
  const queued = await scenario.start(deploying({ version: 'queued', environment: 'watched' }))
  await until('the next one is queued', async () => {
    const { queue } = await temporal.workflow.getHandle(environmentWorkflowId('watched')).query(environmentStateQuery)
    return queue.some(({ runId }) => runId === queued.id)
  })
  await terminate('watched')
  expect(await ended(watched.id)).toMatchObject({
    status: 'rolled_back',
    reason: expect.stringContaining('its workflow was ended from outside') as string,
  })
  expect(await ended(queued.id)).toMatchObject({ status: 'succeeded' })
  expect(await served('watched')).toBe('queued')
})

test('a release that it was starting never gets traffic', { timeout: limitMs }, async () => {
  await release('kept', 'starting')
  const { id } = await scenario.start(deploying({ version: 'new', environment: 'starting', entrypoint: '[sleep, "300"]' }))
  await reached(id, 'check')
  await terminate('starting')
  expect(await ended(id)).toMatchObject({ status: 'rolled_back' })
  expect(await served('starting')).toBe('kept')
  const { items } = await scenario.system.client.listDeployments('starting')
  expect(items.find(({ runId }) => runId === id)?.activatedAt).toBeUndefined()
})

test('a way back that it had begun is gone to its end', { timeout: limitMs }, async () => {
  await release('kept', 'undoing')
  const { id } = await scenario.start(deploying({ version: 'new', environment: 'undoing', bake: '5m' }))
  await reached(id, 'verify')
  const putBack = takeImagesAway()
  try {
    await scenario.system.client.cancelRun({ id }, {})
    await reached(id, 'undo')
    await terminate('undoing')
  } finally {
    putBack()
  }
  expect(await ended(id)).toMatchObject({ status: 'cancelled', undo: [{ status: 'done' }] })
  expect(await served('undoing')).toBe('kept')
})

test(
  "a person's rollback that it had begun is given up, and the row says so: the newest kept release serves",
  { timeout: limitMs },
  async () => {
    await release('one', 'back')
    await release('two', 'back')
    const { client } = scenario.system
    const findRollback = async (): Promise<Deployment | undefined> =>
      (await client.listDeployments('back')).items.find(({ kind }) => kind === 'rollback')
    const putBack = takeImagesAway()
    try {
      await client.rollback('back', {}, randomUUID())
      await until('it has begun', async () => (await findRollback()) !== undefined)
      await terminate('back')
    } finally {
      putBack()
    }
    const rollback = await until(
      'it ends',
      async () => {
        const found = await findRollback()
        return found?.status === 'running' ? undefined : found
      },
      limitMs / 2,
    )
    expect(rollback).toMatchObject({ status: 'failed', reason: 'its workflow was ended from outside' })
    expect(await served('back')).toBe('two')
  },
)
