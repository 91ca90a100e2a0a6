import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { openFrontDoor, startPlannedRun, type FrontDoor } from '../../../test/helpers/front-door.ts'
import type { Client } from '../../api/client.ts'
import type { Run } from '../../store/store.ts'

let door: FrontDoor
let client: Client
let run: Run

beforeEach(async () => {
  door = await openFrontDoor()
  client = await door.client('operator')
  run = await startPlannedRun(door.store)
})

afterEach(() => door.close())

const ends = (status: 'failed' | 'succeeded') => door.store.runs.finish(run.id, { status, at: 1_000, round: 0 }, [])

describe('going on with a run that has ended', () => {
  test('queues it again in its own record, audited with who and why', async () => {
    await ends('failed')
    const { url, ...answer } = await client.retryRun({ id: '1', project: 'shop' }, { from: 'build', reason: 'the disk is free' })
    expect(url).toContain(run.id)
    expect(answer).toMatchObject({ id: run.id, number: 1, status: 'queued', round: 1 })
    expect(answer).not.toHaveProperty('endedAt')
    const [entry] = await door.audited()
    expect(entry).toMatchObject({
      ...{ actor: 'token:operator', action: 'run.retry', subject: run.id },
      data: { from: 'build', reason: 'the disk is free' },
    })
  })

  test('twice with the same key is once, also when it has ended again since', async () => {
    await ends('failed')
    expect(await client.retryRun(run, {}, 'key')).toMatchObject({ round: 1 })
    await door.store.runs.finish(run.id, { status: 'succeeded', at: 2_000, round: 1 }, [])
    expect(await client.retryRun(run, {}, 'key')).toMatchObject({ round: 1, status: 'succeeded' })
    await expect(client.retryRun(run, { from: 'build' }, 'key')).rejects.toMatchObject({ code: 'conflict' })
  })

  test('a run that goes on, or has succeeded, is refused and says what to do instead', async () => {
    await expect(client.retryRun(run)).rejects.toMatchObject({
      code: 'conflict',
      message: expect.stringContaining('run 1 is') as string,
    })
    await ends('succeeded')
    await expect(client.retryRun(run)).rejects.toMatchObject({ code: 'conflict', hint: '`belay run` starts a new one.' })
    await expect(client.retryRun(run, {}, 'key')).rejects.toMatchObject({ code: 'conflict' })
    // Nothing was done, so the audit says nothing of it.
    expect(await door.audited()).toEqual([])
  })

  test('a step that the plan does not have is refused with those that it has', async () => {
    await ends('failed')
    await expect(client.retryRun(run, { from: 'biuld' })).rejects.toMatchObject({
      ...{ code: 'not_found', message: 'the plan has no step "biuld"' },
      hint: expect.stringContaining('build') as string,
    })
    expect(await client.getRun(run)).toMatchObject({ status: 'failed', round: 0 })
  })
})
