import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { bundleWorkflowCode, DefaultLogger } from '@temporalio/worker'
import { pino } from 'pino'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openFrontDoor, type FrontDoor } from '../../test/helpers/front-door.ts'
import { start as startControl } from '../../workers/control.ts'
import type { Client } from '../api/client.ts'
import { emptyEnvironment } from '../domain/environment-rules.ts'
import type { EnvironmentState } from '../domain/environment.ts'
import { findTemporal } from '../embedded/temporal/find-temporal.ts'
import { startTemporal, type TemporalServer } from '../embedded/temporal/start-temporal.ts'

const digest = `sha256:${'1'.repeat(64)}`

let directory: string
let temporal: TemporalServer
let door: FrontDoor
let control: { stop(): Promise<void> }
let client: Client

beforeAll(async () => {
  const found = await findTemporal({ env: { ...process.env, TEMPORAL_ADDRESS: '' } })
  if (found.kind !== 'program') throw new Error('expected a program')
  directory = await mkdtemp(join(tmpdir(), 'belay-rollback-'))
  const places = { program: found.file, directory: join(directory, 'temporal'), log: join(directory, 'log') }
  temporal = await startTemporal(places)
  door = await openFrontDoor({ temporal: temporal.address })
  await door.store.environments.record(servedOnce())
  const workflowsPath = join(import.meta.dirname, '../workflows/index.ts')
  const { code } = await bundleWorkflowCode({ workflowsPath, logger: new DefaultLogger('ERROR') })
  const bundle = join(directory, 'bundle.js')
  await writeFile(bundle, code)
  const address = { address: temporal.address, namespace: 'default' }
  const nothing = { findRules: () => undefined, findRepository: () => undefined, environments: [] }
  control = await startControl({ store: door.store, temporal: address, ...nothing, bundle, log: pino({ level: 'silent' }) })
  client = await door.client('operator')
}, 300_000)

afterAll(async () => {
  await control.stop()
  await door.close()
  await temporal.stop(0)
  await rm(directory, { recursive: true, force: true })
})

describe('rollback', () => {
  test('asks the environment, which is started if it does not run, and answers with the release it will go to', async () => {
    expect(await client.rollback('staging', { to: '1', reason: 'too slow' })).toMatchObject({ release: 1, digest })
    expect(await door.audited()).toMatchObject([
      { action: 'environment.rollback', actor: 'token:operator', subject: 'staging', data: { to: '1', reason: 'too slow' } },
    ])
  })

  test('with the same Idempotency-Key is the same rollback', async () => {
    const first = await client.rollback('staging', { to: digest }, 'key')
    expect(await client.rollback('staging', { to: digest }, 'key')).toEqual(first)
    expect((await client.rollback('staging', { to: digest }, 'another')).requestId).not.toBe(first.requestId)
  })

  test("the environment's own refusal keeps its code: a release that it never served is 404", async () => {
    await expect(client.rollback('staging', { to: '99' })).rejects.toMatchObject({
      code: 'not_found',
      message: 'staging never served a release "99"',
    })
  })

  test('an environment that is not configured is 404, and Temporal is not asked', async () => {
    await expect(client.rollback('nowhere')).rejects.toMatchObject({ code: 'not_found', hint: 'Known: staging.' })
  })

  test('the server is ready while Temporal and the store answer', async () => {
    expect(await client.ready()).toEqual({ status: 'ready' })
  })
})

/** It served release 1, which was kept, and nothing serves now: no deployer is asked before requests are taken. */
function servedOnce(): EnvironmentState {
  const image = { repository: 'shop/app', digest }
  const release = { id: 'r1', project: 'shop', number: 1, version: '1', sha: 'a'.repeat(40), image, runId: crypto.randomUUID() }
  const served = { release, deploymentId: 'd1', requestId: 'q1', status: 'kept' as const, at: 1 }
  return { ...emptyEnvironment('staging', 1), history: [served] }
}
