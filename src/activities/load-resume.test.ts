import { afterEach, beforeEach, expect, test } from 'vitest'
import { makePlan, openFrontDoor, startPlannedRun, type FrontDoor } from '../../test/helpers/front-door.ts'
import { digestOf, streamOf } from '../../test/contracts/store/samples.ts'
import { defaults } from '../domain/defaults.ts'
import type { Plan } from '../domain/plan.ts'
import type { RunEvent, StepChange } from '../domain/run-event.ts'
import type { StepResult } from '../domain/step.ts'
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

test('what was cleaned up since the end is done again: artifacts, checkpoints, releases', async () => {
  const one = makePlan()
  const [step] = one.steps
  const makeStep = (id: string, more: object) => ({ ...step, id, needs: [], ...more }) as Plan['steps'][number]
  const steps = [
    ...['kept', 'swept', 'under', 'checkpointed'].map((id) => makeStep(id, {})),
    makeStep('image', { kind: 'build_image' }),
    makeStep('version', { kind: 'release', release: { from: ['image'] } }),
  ]
  const plan = { ...one, steps }
  await door.store.runs.savePlan({ runId: run.id, plan, planDigest: `sha256:${'cd'.repeat(32)}` })
  await door.store.blobs.put(digestOf('kept'), streamOf('kept'))
  const image = { repository: 'shop/app', digest: digestOf('image') }
  const { id: releaseId } = await door.store.releases.create({
    ...{ runId: run.id, project: 'shop', sha: run.trigger.sha, image, artifacts: [], step: 'version' },
  })
  const artifactsOf = (text: string) => [{ path: text, digest: digestOf(text), sizeBytes: 1, executable: false }]
  const results: Record<string, StepResult> = {
    kept: { artifacts: artifactsOf('kept') },
    swept: { artifacts: artifactsOf('swept') },
    checkpointed: { checkpoint: { digest: digestOf('workspace'), sizeBytes: 1, steps: ['under', 'checkpointed'] } },
    image: { image },
    version: { image, release: { id: releaseId, number: 1, version: '1' } },
  }
  const ended = { epoch: 1, status: 'succeeded' as const, endedAt: 2 }
  await tell(...steps.map(({ id }) => ({ step: id, ...ended, result: results[id] ?? {} })))
  await door.store.runs.finish(run.id, { status: 'errored', at: 9 }, [])
  const again = async () => {
    const { outcomes } = await loadResume(door.store, { runId: run.id, resume: { round: 1, epoch: 4 } })
    return outcomes.flatMap((outcome) => (outcome.reason === 'is done again' ? [outcome.step] : []))
  }
  expect((await again()).toSorted()).toEqual(['checkpointed', 'swept', 'under'])
  // The run ended in 1970: of its files only those stay that were put just now.
  const swept: unknown[] = []
  const only = ['releases', 'blobs'] as const
  for await (const found of door.store.housekeeping.sweep({ keep: defaults.keep, dry: false, only })) swept.push(found)
  expect(swept).not.toEqual([])
  expect((await again()).toSorted()).toEqual(['checkpointed', 'image', 'swept', 'under', 'version'])
})

test('a run that never had a plan begins at its beginning', async () => {
  const bare = await door.store.runs.start({ project: 'shop', trigger: run.trigger, key: 'bare' })
  expect(await loadResume(door.store, { runId: bare.id, resume: { round: 1, epoch: 0 } })).toEqual({ outcomes: [] })
})
