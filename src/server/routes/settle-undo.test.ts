import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { openFrontDoor, startPlannedRun, type FrontDoor } from '../../../test/helpers/front-door.ts'
import type { Client } from '../../api/client.ts'
import { settleUndo, type SettledUndo, type SettleUndo } from '../../domain/settle-undo.ts'
import type { Run } from '../../store/store.ts'

let door: FrontDoor
let client: Client
let run: Run
let asked: { runId: string; request: SettleUndo }[]

beforeEach(async () => {
  door = await openFrontDoor()
  client = await door.client('operator')
  run = await startPlannedRun(door.store)
  asked = []
})

afterEach(() => door.close())

/** In the place of the run's workflow: it is blocked at "build", and remembers what it has answered. */
function blocks(): void {
  const known = new Map<string, SettledUndo>()
  door.orchestrator.settleUndo = async ({ id: runId }, request) => {
    asked.push({ runId, request })
    const standing = { number: 1, status: 'rollback_blocked' as const, blocked: [{ step: 'build', does: 'make clean' }] }
    const answer = known.get(request.id) ?? settleUndo(request, standing)
    known.set(request.id, answer)
    return answer
  }
}

async function audited() {
  return (await door.store.audit.list({})).items.filter(({ subject }) => subject === run.id)
}

describe("settling a run's blocked undo", () => {
  test('asks its workflow, in the name of the token and with the reason, and answers with the run and what will happen', async () => {
    blocks()
    const accepted = await client.settleUndo({ id: '1', project: 'shop' }, { action: 'skip', step: 'build', reason: 'by hand' })
    expect(accepted).toMatchObject({
      id: run.id,
      number: 1,
      settled: { action: 'skip', step: 'build', does: 'make clean', left: [] },
    })
    const actor = { id: 'token:operator', name: 'operator' }
    const request = { action: 'skip', step: 'build', reason: 'by hand', actor }
    expect(asked).toMatchObject([{ runId: run.id, request }])
  })

  test('writes who and why into the audit before it asks', async () => {
    door.orchestrator.settleUndo = () => Promise.reject(new Error('broken on the way'))
    await expect(client.settleUndo(run, { action: 'retry', reason: 'the disk is free' })).rejects.toMatchObject({
      code: 'internal',
    })
    expect(await audited()).toMatchObject([
      { action: 'run.undo.retry', actor: 'token:operator', subject: run.id, data: { reason: 'the disk is free' } },
    ])
  })

  test('with the same Idempotency-Key is the same; for something else that key is a conflict', async () => {
    blocks()
    const first = await client.settleUndo(run, { action: 'retry' }, 'key')
    expect((await client.settleUndo(run, { action: 'retry' }, 'key')).settled).toEqual(first.settled)
    expect(new Set(asked.map(({ request }) => request.id)).size).toBe(1)
    await expect(client.settleUndo(run, { action: 'skip', reason: 'x' }, 'key')).rejects.toMatchObject({ code: 'conflict' })
    await client.settleUndo(run, { action: 'retry' })
    expect(new Set(asked.map(({ request }) => request.id)).size).toBe(2)
  })

  test.each([
    ['a skip without a reason', { action: 'skip' }, 'has to say why'],
    ['a skip with an empty reason', { action: 'skip', reason: '  ' }, 'reason'],
    ['another action', { action: 'ignore' }, 'action'],
    ['a key that is unknown', { action: 'retry', undo: 'build' }, 'undo'],
  ])('%s is 400, and nobody is asked', async (_, body, says) => {
    blocks()
    const headers = { authorization: `Bearer ${await door.token('operator', 'ben')}` }
    const response = await door.app.inject({ method: 'POST', url: `/api/v1/runs/${run.id}/undo`, headers, payload: body })
    expect(response.statusCode).toBe(400)
    expect(response.json()).toMatchObject({ code: 'invalid_input', detail: expect.stringContaining(says) as string })
    expect(asked).toEqual([])
    expect(await audited()).toEqual([])
  })

  test('a run whose workflow does not go on is 409 with how it stands, and 503 until a blocked one is recovered', async () => {
    door.orchestrator.settleUndo = () => Promise.resolve(undefined)
    await expect(client.settleUndo(run, { action: 'retry' })).rejects.toMatchObject({
      code: 'conflict',
      message: 'run 1 is queued: it is not blocked at an undo',
    })
    await door.store.runs.finish(run.id, { status: 'rollback_blocked', at: 1 }, [])
    await expect(client.settleUndo(run, { action: 'retry' })).rejects.toMatchObject({
      code: 'unavailable',
      retryable: true,
      message: expect.stringContaining('its workflow is gone') as string,
    })
  })

  test('while Temporal is away is 503, to be sent again', async () => {
    await expect(client.settleUndo(run, { action: 'retry' })).rejects.toMatchObject({ code: 'unavailable', retryable: true })
  })

  test('a run that is not there is 404, and a viewer may not', async () => {
    blocks()
    const refused = client.settleUndo({ id: crypto.randomUUID() }, { action: 'retry' })
    await expect(refused).rejects.toMatchObject({ code: 'not_found' })
    const viewer = await door.client('viewer')
    await expect(viewer.settleUndo(run, { action: 'retry' })).rejects.toMatchObject({ code: 'forbidden' })
    expect(asked).toEqual([])
  })
})

test('a cancel of a blocked run is 409 and names the two ways out', async () => {
  await door.store.runs.finish(run.id, { status: 'rollback_blocked', at: 1 }, [])
  await expect(client.cancelRun(run)).rejects.toMatchObject({
    code: 'conflict',
    hint: expect.stringMatching(/belay retry 1.*belay skip 1 --reason/) as string,
  })
})
