/** The deployer as a worker of a real Temporal, with a real keeper and real applications. */
import { mkdirSync, rmSync } from 'node:fs'
import { Client, Connection } from '@temporalio/client'
import { NativeConnection } from '@temporalio/worker'
import { afterAll, afterEach, beforeAll, beforeEach, expect, it, vi } from 'vitest'
import { endKeeper } from '../test/helpers/keeper-process.ts'
import { writeImage } from '../test/helpers/oci-image.ts'
import { openDirectory, sampleProgram } from '../test/helpers/sample-app.ts'
import { until } from '../test/helpers/until.ts'
import { placesOf, type Places } from '../src/config/places.ts'
import type { Config } from '../src/config/config.ts'
import type { DeployerActivities, DeployOperation } from '../src/contract/activities.ts'
import { taskQueues } from '../src/contract/task-queues.ts'
import type { ReleaseRef } from '../src/domain/release.ts'
import { findTemporal } from '../src/embedded/temporal/find-temporal.ts'
import { startTemporal, type TemporalServer } from '../src/embedded/temporal/start-temporal.ts'
import { findFreePort } from '../src/process/free-port.ts'
import { start as startDeployer } from './deployer.ts'
import { start as startKeeper } from './keeper.ts'

let temporal: TemporalServer
let temporalDirectory: string
let connection: Connection
let base: string
let places: Places
let edge: string
let fence: number
let stops: (() => Promise<void>)[]

beforeAll(async () => {
  const found = await findTemporal({ env: { ...process.env, TEMPORAL_ADDRESS: '' } })
  if (found.kind !== 'program') throw new Error('expected a program')
  temporalDirectory = openDirectory()
  temporal = await startTemporal({ program: found.file, directory: temporalDirectory, log: `${temporalDirectory}/log` })
  connection = await Connection.connect({ address: temporal.address })
}, 300_000)
afterAll(async () => {
  await connection.close()
  await temporal.stop(0)
  rmSync(temporalDirectory, { recursive: true, force: true })
})

beforeEach(async () => {
  base = openDirectory()
  places = placesOf(base, { root: false })
  fence = 0
  stops = []
  mkdirSync(places.apps, { recursive: true, mode: 0o755 })
  const keeper = await startKeeper({ directory: places.keeper, apps: places.apps })
  stops.push(() => keeper.stop())
  const port = await findFreePort()
  edge = `http://127.0.0.1:${String(port)}`
  const deployer = await startDeployer({ config: configWith(port), places, temporal, storeId: 'store' })
  stops.push(() => deployer.stop())
})
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop()
  await endKeeper(places.keeper)
  rmSync(base, { recursive: true, force: true })
})

function configWith(port: number): Config {
  const health = { http: '/healthz', intervalMs: 50, healthyAfter: 2, unhealthyAfter: 2, timeoutMs: 10_000 }
  process.env['BELAY_TEST_SECRET'] = 'hunter2-and-more'
  return {
    ...{
      data: base,
      listen: { host: '127.0.0.1', port: 0 },
      publicUrl: '',
      projects: {},
      runners: { slots: 1, labels: [] },
      registries: {},
    },
    environments: {
      production: {
        ...{ name: 'production', target: 'process', edge: { driver: 'embedded', host: '127.0.0.1', port }, health },
        env: { GREETING: { value: 'hello' }, PASSWORD: { secret: 'password' } },
      },
    },
    secrets: {
      password: { name: 'password', provider: 'env', reference: { name: 'BELAY_TEST_SECRET' }, projects: [], branches: [] },
    },
  }
}

async function release(program = sampleProgram): Promise<ReleaseRef> {
  const digest = await writeImage({
    layout: `${places.images}/shop/app`,
    layers: [[{ name: 'app/app.cjs', content: program }]],
    config: { Entrypoint: ['node', '/app/app.cjs', '1'] },
  })
  const image = { repository: 'shop/app', digest }
  return { id: digest, project: 'shop', number: 1, version: '1', sha: 'c'.repeat(40), runId: 'run', image }
}

const operation = (what: ReleaseRef, deploy: DeployOperation['deploy'] = { health: {}, bakeMs: 0 }): DeployOperation => ({
  ...{ environment: 'production', fence: ++fence, operationId: `operation ${String(fence)}` },
  ...{ release: what, deploy },
})

const client = () => new Client({ connection }).activity
const options = (name: string) => ({
  ...{ id: `${name} ${String(Math.random())}`, taskQueue: taskQueues.deployer },
  ...{ startToCloseTimeout: '60s' as const, heartbeatTimeout: '5s' as const, retry: { maximumAttempts: 1 } },
})
const run = <Name extends keyof DeployerActivities>(name: Name, ...args: Parameters<DeployerActivities[Name]>) =>
  client().execute<Awaited<ReturnType<DeployerActivities[Name]>>>(name, { ...options(name), args })

it("carries a release from staged to verified, with the environment's secrets", async () => {
  const made = await release()
  await run('stage', operation(made))
  expect(await run('check', operation(made))).toMatchObject({ healthy: true })
  expect(await run('activate', operation(made))).toEqual({})
  expect(await (await fetch(`${edge}/env?name=PASSWORD`)).text()).toBe('hunter2-and-more')
  expect(await run('verify', operation(made, { health: {}, bakeMs: 200 }))).toMatchObject({ healthy: true, errors: 0 })
  await run('retire', operation(made))
  expect(await run('observe', { environment: 'production' })).toEqual({
    ...{ servingDigest: made.image.digest, running: [made.image.digest], fence },
  })
  await run('clear', operation(made))
  expect((await fetch(edge)).status).toBe(503)
}, 60_000)

it('one that cannot start leaves no connection open', async () => {
  const closed = vi.spyOn(NativeConnection.prototype, 'close')
  const nowhere = { address: temporal.address, namespace: 'nowhere' }
  const starting = startDeployer({ config: configWith(1), places, temporal: nowhere, storeId: 'store' })
  await expect(starting).rejects.toThrow(/nowhere/i)
  expect(closed).toHaveBeenCalledOnce()
  closed.mockRestore()
}, 60_000)

it('says why a release is not healthy, without the secret it printed', async () => {
  const made = await release("console.log('password is ' + process.env.PASSWORD); process.exit(3)")
  await run('stage', operation(made))
  const report = await run('check', operation(made))
  expect(report).toMatchObject({ healthy: false, reason: 'its process exited with code 3; it printed last:\npassword is ***' })
}, 60_000)

it('a refusal keeps its code and is not tried again by Temporal', async () => {
  const made = await release()
  await run('stage', operation(made))
  const late = { ...operation(made), fence: 0 }
  const error: unknown = await run('activate', late).catch((failed: unknown) => failed)
  expect(error).toMatchObject({ cause: { type: 'stale', nonRetryable: true } })
}, 60_000)

it('leaves a watch at once when it is cancelled', async () => {
  const made = await release()
  await run('stage', operation(made))
  await run('activate', operation(made))
  const handle = await client().start('verify', {
    ...options('verify'),
    args: [operation(made, { health: {}, bakeMs: 600_000 })],
  })
  await until('it is being watched', async () => (await handle.describe()).lastHeartbeatTime !== undefined, 20_000)
  await handle.cancel('enough')
  await expect(handle.result()).rejects.toMatchObject({ cause: { name: 'CancelledFailure' } })
}, 60_000)

it('a deployer that stops in the middle of a watch calls that worth another try, not a cancellation', async () => {
  const made = await release()
  await run('stage', operation(made))
  await run('activate', operation(made))
  const args: [DeployOperation] = [operation(made, { health: {}, bakeMs: 600_000 })]
  const handle = await client().start('verify', { ...options('verify'), args })
  await until('it is being watched', async () => (await handle.describe()).lastHeartbeatTime !== undefined, 20_000)
  await stops.pop()?.()
  await expect(handle.result()).rejects.toMatchObject({ cause: { type: 'unavailable', nonRetryable: false } })
}, 60_000)
