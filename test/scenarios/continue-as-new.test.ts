/** An environment lives for ever and its history does not: Temporal is made to suggest a new one every few deployments. */
import { randomUUID } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Client } from '../../src/api/client.ts'
import type { RollbackAccepted } from '../../src/api/environment-schemas.ts'
import { environmentWorkflowId } from '../../src/contract/workflow-ids.ts'
import type { Deployment } from '../../src/domain/environment.ts'
import { armFaultPoint } from '../helpers/arm-fault-point.ts'
import { deploying, startScenario, type Scenario } from '../helpers/scenario.ts'
import { startShortHistories, type ShortHistories } from '../helpers/short-histories.ts'
import { until } from '../helpers/until.ts'

let histories: ShortHistories | undefined
let scenario: Scenario | undefined
const points = mkdtempSync(join(tmpdir(), 'belay-points-'))
const refusals = new Set<NodeJS.Timeout>()

beforeAll(async () => {
  histories = await startShortHistories()
  const env = { TEMPORAL_ADDRESS: histories.address, BELAY_FAULT_POINTS: points }
  scenario = await startScenario({ environments: ['production', 'busy'], env })
})

afterAll(async () => {
  for (const refusal of refusals) clearInterval(refusal)
  await scenario?.stop()
  await histories?.stop()
  rmSync(points, { recursive: true, force: true })
})

/** Every try of the activity fails until the function that this returns is called. */
function refuse(activity: string): () => void {
  const point = join(points, `activity.${activity}.before`)
  const refusal = setInterval(() => armFaultPoint(point, 'throw'), 20)
  refusals.add(refusal)
  return () => {
    clearInterval(refusal)
    rmSync(point, { force: true })
  }
}

async function ended(client: Client, requestId: string): Promise<Deployment> {
  return await until('the deployment ends', async () => {
    const { items } = await client.listDeployments('production', { limit: 200 })
    return items.find((one) => one.requestId === requestId && one.status !== 'running')
  })
}

test('over several continuations no request, window, block or answer is lost, and what comes in between is answered', async () => {
  if (scenario === undefined || histories === undefined) throw new Error('nothing was started')
  const { events, start, run, end, system } = scenario
  const { client } = system
  const { continued } = histories
  const continuations = async (): Promise<number> => (await continued(environmentWorkflowId('production'))).length
  for (const version of ['v1', 'v2', 'v3']) expect(await run(deploying({ version }))).toMatchObject({ status: 'succeeded' })
  const { freeze: later } = await client.freeze('production', { from: '2099-01-01T00:00Z', for: '1h', reason: 'far off' })
  // The window in the middle goes, and release 3 is blocked, unblocked and blocked again.
  const middle = (await client.freeze('production', { from: '2098-01-01T00:00Z', for: '1h' })).freeze.id
  const [lift, allow] = [randomUUID(), randomUUID()]
  const lifted = await client.unfreeze('production', { freeze: middle }, lift)
  await client.block('production', { release: '3' })
  await client.unblock('production', { release: '3' }, allow)
  await client.block('production', { release: '3', reason: 'leaks' })

  // Asked for all at once: they wait in the queue while the workflow continues as new.
  const keys = Array.from({ length: 6 }, () => randomUUID())
  const accepted: RollbackAccepted[] = []
  for (const [index, key] of keys.entries())
    accepted.push(await client.deploy('production', { release: String((index % 2) + 1) }, key))
  for (const { requestId } of accepted) expect(await ended(client, requestId)).toMatchObject({ status: 'deployed' })
  await until('it has continued several times', async () => (await continuations()) >= 3)

  const starts = (await client.listDeployments('production', { limit: 200 })).items
    .filter(({ requestId }) => accepted.some((one) => one.requestId === requestId))
    .toSorted((a, b) => a.startedAt - b.startedAt)
  expect(starts.map(({ requestId }) => requestId)).toEqual(accepted.map(({ requestId }) => requestId))
  // An answer that was given continuations ago is given again, and nothing is done twice.
  expect(await client.deploy('production', { release: '1' }, keys[0])).toEqual(accepted[0])
  await expect(client.deploy('production', { release: '3' })).rejects.toMatchObject({ code: 'refused' })

  // What a run asks for is held over continuations that rollbacks bring about.
  const { freeze } = await client.freeze('production', { for: '8h' })
  const held = await start(deploying({ version: 'v4' }))
  await until('it is held', async () => (await events(held.id)).some(({ body }) => body.type === 'waiting'))
  const before = await continuations()
  for (const to of ['1', '2', '1', '2', '1'])
    expect(await ended(client, (await client.rollback('production', { to }, randomUUID())).requestId)).toMatchObject({
      status: 'deployed',
    })
  await until('it has continued since', async () => (await continuations()) > before)

  // Neither are these, which lay between what is so now.
  expect((await client.unfreeze('production', { freeze: middle }, lift)).freeze).toEqual(lifted.freeze)
  await client.unblock('production', { release: '3' }, allow)
  const environment = await client.getEnvironment('production')
  expect(environment.freezes.map(({ id }) => id)).toEqual([later.id, freeze.id])
  expect(environment.blocked.map(({ release }) => release.number)).toEqual([3])
  expect(environment.queue.map(({ runId }) => runId)).toEqual([held.id])
  expect(environment.history.map(({ release }) => release.number)).toEqual([1, 2, 3, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1])

  await client.unfreeze('production', { freeze: freeze.id })
  expect(await end(held.id)).toMatchObject({ status: 'succeeded' })
  expect((await client.getEnvironment('production')).current?.release.number).toBe(4)
  const { items } = await client.listDeployments('production', { limit: 200 })
  expect(new Set(items.map(({ requestId }) => requestId)).size).toBe(items.length)
})

test('it continues also while nothing can be told or recorded, and what came meanwhile is carried out', async () => {
  if (scenario === undefined || histories === undefined) throw new Error('nothing was started')
  const { events, start, end, notes, system } = scenario
  const { client } = system
  const workflowId = environmentWorkflowId('busy')
  const handle = histories.client.workflow.getHandle(workflowId)
  const after = '  hold: { commands: [echo begun > NOTES/busy, "until [ -e NOTES/busy-on ]; do sleep 0.1; done"] }\n'
  const serving = await start(deploying({ version: 'v1', environment: 'busy', after }))
  await scenario.noted('busy')
  await client.freeze('busy', { for: '8h' })
  const held = await start(deploying({ version: 'v2', environment: 'busy' }))
  await until('it is held', async () => (await events(held.id)).some(({ body }) => body.type === 'waiting'))
  const before = (await histories.continued(workflowId)).length

  const tellAgain = refuse('answerRun')
  const untold = await start(deploying({ version: 'v3', environment: 'busy' }))
  await until('it is queued', async () => (await client.getEnvironment('busy')).queue.some(({ runId }) => runId === untold.id))
  await until('its history is long', async () => {
    if ((await handle.describe()).historyLength > 90) return true
    await client.freeze('busy', { from: '2099-01-01T00:00Z', for: '1h' })
    return false
  })
  const recordAgain = refuse('recordEnvironment')
  writeFileSync(join(notes, 'busy-on'), '')
  // Longer than it waits for what is on its way.
  await new Promise((resolve) => setTimeout(resolve, 14_000))
  recordAgain()
  await new Promise((resolve) => setTimeout(resolve, 2_000))
  tellAgain()

  expect(await end(serving.id)).toMatchObject({ status: 'succeeded' })
  expect((await histories.continued(workflowId)).length).toBeGreaterThan(before)
  for (const { id } of (await client.getEnvironment('busy')).freezes) await client.unfreeze('busy', { freeze: id })
  expect(await end(untold.id)).toMatchObject({ status: 'succeeded' })
  expect((await client.getEnvironment('busy')).current?.release.runId).toBe(untold.id)
})
