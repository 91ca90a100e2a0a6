import { afterEach, beforeEach, expect, test } from 'vitest'
import { makePlan, openFrontDoor, startPlannedRun, type FrontDoor } from '../../test/helpers/front-door.ts'
import type { RunEvent, StepChange } from '../domain/run-event.ts'
import type { Run } from '../store/store.ts'
import { loadResume } from './load-resume.ts'

let door: FrontDoor
let run: Run

beforeEach(async () => {
  door = await openFrontDoor()
  run = await startPlannedRun(door.store)
})

afterEach(() => door.close())

async function tell(...changes: Omit<StepChange, 'attempt'>[]): Promise<void> {
  const events = changes.map((change, n): RunEvent => {
    return { source: 'run', epoch: 0, n, at: 1, body: { type: 'step', change: { attempt: 1, ...change } } }
  })
  await door.store.runs.record(run.id, events)
}

test('an attempt that never came to an end is done again, one that succeeded is not', async () => {
  const one = makePlan()
  const plan = { ...one, steps: [...one.steps, ...one.steps.map((step) => ({ ...step, id: 'unit', needs: ['build'] }))] }
  await door.store.runs.savePlan({ runId: run.id, plan, planDigest: `sha256:${'cd'.repeat(32)}` })
  await tell(
    { step: 'build', epoch: 1, status: 'succeeded', startedAt: 1, endedAt: 2 },
    { step: 'unit', epoch: 1, status: 'running', startedAt: 3 },
  )
  await door.store.runs.finish(run.id, { status: 'errored', at: 9 }, [])
  const resumed = await loadResume(door.store, { runId: run.id, resume: { round: 1, epoch: 4 } })
  expect(resumed.plan).toEqual(plan)
  expect(resumed.outcomes).toMatchObject([
    { step: 'build', status: 'succeeded', endedAt: 2 },
    { step: 'unit', status: 'errored', epoch: 1 },
    { step: 'unit', attempt: 1, epoch: 5, lost: true },
  ])
})

test('a run that never had a plan begins at its beginning', async () => {
  const bare = await door.store.runs.start({ project: 'shop', trigger: run.trigger, key: 'bare' })
  expect(await loadResume(door.store, { runId: bare.id, resume: { round: 1, epoch: 0 } })).toEqual({ outcomes: [] })
})
