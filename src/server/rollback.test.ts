import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openControlledDoor, type ControlledDoor } from '../../test/helpers/controlled-door.ts'
import type { FrontDoor } from '../../test/helpers/front-door.ts'
import type { Client } from '../api/client.ts'
import { emptyEnvironment } from '../domain/environment-rules.ts'
import type { EnvironmentState } from '../domain/environment.ts'

const digest = `sha256:${'1'.repeat(64)}`

let controlled: ControlledDoor
let door: FrontDoor
let client: Client

beforeAll(async () => {
  controlled = await openControlledDoor()
  door = controlled.door
  await door.store.environments.record(servedOnce())
  client = await door.client('operator')
}, 300_000)

afterAll(() => controlled.close())

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
    // However it is called.
    for (const to of ['1', '#1']) expect(await client.rollback('staging', { to }, 'key')).toEqual(first)
  })

  test('with the same Idempotency-Key to another release is refused, and nobody goes there', async () => {
    await client.rollback('staging', { to: '1' }, 'mistaken')
    await expect(client.rollback('staging', { to: '2' }, 'mistaken')).rejects.toMatchObject({
      ...{ code: 'conflict', message: expect.stringContaining('another release: number 1') as string },
      hint: expect.any(String) as string,
    })
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
