import { expect, it } from 'vitest'
import type { RunInput } from '../contract/run-workflow.ts'
import type { Plan, PlanStep } from '../domain/plan.ts'
import { resumeOutcomes } from '../domain/resume-run.ts'
import type { Outcome } from '../domain/step.ts'
import { skipRest } from './read-outcomes.ts'

function step(id: string, needs: string[]): PlanStep {
  const commands = { lines: ['true'], shell: 'sh' as const, workingDirectory: '.' }
  const retry = { max: 0, on: [], exitCodes: [], backoffMs: 0 }
  return { id, needs, kind: 'commands', commands, segment: 0, env: {}, timeoutMs: 1000, retry }
}

const steps = [
  step('build', []),
  step('a', ['build']),
  step('unit', ['a']),
  step('lint', ['build']),
  step('ship', ['unit', 'lint']),
]
const plan = { rules: 2, pipeline: 'p', file: '.belay.yml', timeoutMs: 1, steps, segments: [], finally: [] } satisfies Plan
const run = { id: 'r' } as RunInput['run']
const input = { run } as RunInput
const resumed = { run, resume: { round: 1, epoch: 4 } } as RunInput

function ended(id: string, status: Outcome['status'], extra: Partial<Outcome> = {}): Outcome {
  return { step: id, attempt: 1, epoch: 1, status, endedAt: 5, ...extra }
}

it('a step that never began is skipped, one that did is not', () => {
  const skipped = skipRest({ plan, input, outcomes: [ended('build', 'failed')] })
  expect(skipped.map(({ step: id, attempt, status }) => `${id} ${String(attempt)} ${status}`)).toEqual(
    ['a', 'unit', 'lint', 'ship'].map((id) => `${id} 1 skipped`),
  )
})

it('what was to be done again and was not reached is skipped, so that the round after does not take the old one for done', () => {
  const before = [...['build', 'a', 'unit', 'lint'].map((id) => ended(id, 'succeeded')), ended('ship', 'failed')]
  const first = resumeOutcomes({
    plan,
    outcomes: before,
    undo: [],
    gone: { blobs: new Set(), releases: new Set() },
    from: 'build',
    epoch: 5,
    now: 10,
  })
  const round = [ended('build', 'succeeded', { attempt: 2, epoch: 5 }), ended('lint', 'failed', { attempt: 2, epoch: 5 })]
  const outcomes = [...first, ...round]
  const skipped = skipRest({ plan, input: resumed, outcomes })
  expect(skipped.map(({ step: id, attempt }) => [id, attempt])).toEqual([['a', 2], ['unit', 2], ['ship', 2]]) // prettier-ignore
  // What the store knows of all attempts: marks are no rows.
  const rows = [...before, ...round, ...skipped]
  const next = resumeOutcomes({
    plan,
    outcomes: rows,
    undo: [],
    gone: { blobs: new Set(), releases: new Set() },
    epoch: 9,
    now: 20,
  })
  const again = next.filter(({ reason }) => reason === 'is done again').map(({ step: id }) => id)
  expect(again.toSorted()).toEqual(['a', 'lint', 'ship', 'unit'])
})

it('a step that a takeover would have done again keeps its row: it had succeeded', () => {
  const lost = ended('a', 'errored', { epoch: 2, lost: true, retryAt: 5 })
  const skipped = skipRest({ plan, input, outcomes: [ended('build', 'succeeded'), ended('a', 'succeeded'), lost] })
  expect(skipped.map(({ step: id }) => id)).toEqual(['unit', 'lint', 'ship'])
})
