/** On a real Temporal and a real store; nobody works on what is started there. */
import type { Client } from '@temporalio/client'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { startOwnTemporal, type OwnTemporal } from '../../test/helpers/own-temporal.ts'
import { makePlan, openFrontDoor, startPlannedRun, type FrontDoor } from '../../test/helpers/front-door.ts'
import type { ReadRemains } from '../contract/activities.ts'
import { runWorkflowId } from '../contract/workflow-ids.ts'
import type { Plan } from '../domain/plan.ts'
import type { RunEventBody, StepChange, UndoItem } from '../domain/run-event.ts'
import { RunIdentity } from '../domain/run.ts'
import type { Run } from '../store/store.ts'
import { readRemains } from './read-remains.ts'

let temporal: OwnTemporal
let client: Client
let door: FrontDoor
let run: Run
let n = 0

beforeAll(async () => {
  temporal = await startOwnTemporal()
  client = temporal.client
}, 90_000)

// What beforeAll did not get to is not there.
afterAll(() => (temporal as OwnTemporal | undefined)?.stop())

beforeEach(async () => {
  door = await openFrontDoor()
  run = await startPlannedRun(door.store)
})

afterEach(() => door.close())

const read = (round: number): Promise<ReadRemains> => {
  const findRepository = (project: string) => ({ project, url: 'https://git.example/shop.git' })
  return readRemains({ store: door.store, client, findRepository }, { run: RunIdentity.parse(run), round })
}

const begin = (round: number) => {
  return client.workflow.start('none', { taskQueue: 'nobody', workflowId: runWorkflowId(run.id, round) })
}

async function tell(round: number, ...bodies: RunEventBody[]): Promise<void> {
  const events = bodies.map((body) => ({ source: 'run', epoch: round, n: (n += 1), at: n, body }))
  await door.store.runs.record(run.id, events)
}

const ofStep = (step: string, attempt: number, status: StepChange['status'], epoch: number): RunEventBody => {
  return { type: 'step', change: { step, attempt, epoch, status, ...(status === 'running' ? {} : { endedAt: 1 }) } }
}
const ofUndo = (step: string, status: UndoItem['status']): RunEventBody => ({ type: 'undo', item: { step, status, does: 'x' } })
const opened = (epoch: number): RunEventBody => ({ type: 'workspace', runner: 'ann', epoch, status: 'opened' })

const goOn = () => {
  const actor = { id: 'token:ana', name: 'ana' }
  return door.store.runs.resume({ runId: run.id, actor, key: crypto.randomUUID() })
}

test('a run whose workflow goes on is not recovered, nor is a round that is over', async () => {
  const handle = await begin(0)
  await expect(read(0)).rejects.toMatchObject({ code: 'conflict', retryable: false })
  await handle.terminate('a test')
  await door.store.runs.finish(run.id, { status: 'failed', at: 9 }, [])
  await goOn()
  await expect(read(0)).rejects.toMatchObject({ code: 'conflict', retryable: false })
})

describe('of a run that had gone on after an end, and that Temporal does not know any more', () => {
  beforeEach(async () => {
    const one = makePlan()
    const [step] = one.steps
    const undo = { commands: { lines: ['x'], shell: 'sh' as const, workingDirectory: '.' }, env: {}, timeoutMs: 1, attempts: 1 }
    const steps = [
      { ...step, id: 'build' },
      { ...step, id: 'migrate', needs: ['build'], undo },
      { ...step, id: 'gate', needs: ['migrate'] },
      { ...step, id: 'last', needs: ['gate'] },
    ] as Plan['steps']
    await door.store.runs.savePlan({ runId: run.id, plan: { ...one, steps }, planDigest: `sha256:${'cd'.repeat(32)}` })
    await tell(
      0,
      ...[opened(3), ofUndo('migrate', 'owed'), ofStep('build', 1, 'succeeded', 3), ofStep('migrate', 1, 'succeeded', 3)],
      ...[ofStep('gate', 1, 'failed', 3), ofStep('last', 1, 'skipped', 0), ofUndo('migrate', 'done')],
      ofStep('tell', 1, 'succeeded', 3),
    )
    await door.store.runs.finish(run.id, { status: 'rolled_back', at: 9 }, [])
    run = await goOn()
  })

  const stepsOf = ({ remains: { outcomes, earlier = 0 } }: ReadRemains) => {
    return outcomes.slice(earlier).map(({ step, attempt, status }) => `${step} ${String(attempt)}: ${status}`)
  }

  test('it is as it went on: nothing of the rounds before counts as its end', async () => {
    // Late news of the round before.
    await tell(0, ofUndo('migrate', 'done'), ofStep('gate', 2, 'failed', 3))
    const found = await read(1)
    const { remains } = found
    expect(found).toMatchObject({ from: 'store', unended: [] })
    expect(remains).toMatchObject({ input: { resume: { round: 1, epoch: 3 } }, undo: [], closing: { phase: 'working' } })
    expect(remains.closing.finally).toBeUndefined()
    expect(remains.workspace.runner).toBeUndefined()
    expect(stepsOf(found)).toEqual([])
    const again = remains.outcomes.flatMap(({ step, reason }) => (reason === 'is done again' ? [step] : []))
    expect(again.toSorted()).toEqual(['gate', 'last', 'migrate'])
  })

  test('what it has begun is cut short and owed, whatever became of that before', async () => {
    // That it is owed again was not told any more.
    await tell(1, opened(4), ofStep('migrate', 2, 'running', 4))
    const { remains, unended } = await read(1)
    expect(unended).toEqual([{ step: 'migrate', attempt: 2, epoch: 4 }])
    expect(remains).toMatchObject({ workspace: { epoch: 4, runner: 'ann' }, closing: { phase: 'working' } })
    expect(remains.undo).toMatchObject([{ step: 'migrate', status: 'owed' }])
  })

  test('it has not settled before the last step has succeeded, which was skipped before', async () => {
    const succeeded = ['migrate', 'gate'].map((step) => ofStep(step, 2, 'succeeded', 4))
    await tell(1, opened(4), ofUndo('migrate', 'owed'), ...succeeded)
    expect((await read(1)).remains.closing.phase).toBe('working')
    await tell(1, ofStep('last', 2, 'succeeded', 4))
    expect((await read(1)).remains.closing.phase).toBe('keeping')
  })

  test('its own `finally` is not run again', async () => {
    await tell(1, opened(4), ofStep('gate', 2, 'failed', 4), ofStep('tell', 1, 'succeeded', 5))
    const found = await read(1)
    expect(stepsOf(found)).toEqual(['gate 2: failed', 'tell 1: succeeded'])
    expect(found.remains.closing.finally).toBeDefined()
  })
})
