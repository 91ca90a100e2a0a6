import { describe, expect, it } from 'vitest'
import type { Plan, PlanStep } from './plan.ts'
import { pointsDue, stepsUpTo, waitsFor } from './settling-points.ts'
import type { Outcome } from './step.ts'

function step(id: string, needs: string[], settle?: true): PlanStep {
  const commands = { lines: ['true'], shell: 'sh' as const, workingDirectory: '.' }
  const retry = { max: 0, on: [], exitCodes: [], backoffMs: 0 }
  const more = settle === undefined ? {} : { settle }
  return { id, needs, kind: 'commands', commands, segment: 0, env: {}, timeoutMs: 1000, retry, ...more }
}

const steps = [
  step('build', []),
  step('ship', ['build']),
  step('aside', ['build']),
  step('accept', ['ship'], true),
  step('after', ['accept']),
  step('last', ['after', 'aside'], true),
]
const plan = { rules: 2, pipeline: 'p', file: '.belay.yml', timeoutMs: 1, steps, segments: [], finally: [] } satisfies Plan

const ended = (id: string, status: Outcome['status'] = 'succeeded', attempt = 1): Outcome => {
  return { step: id, attempt, epoch: 1, status, endedAt: 5 }
}
const owes = (...ids: string[]) => ids.map((id) => ({ step: id, status: 'owed' as const }))

describe('a settling point', () => {
  it('reaches over all that it needs, near and far, and itself, but over no branch beside it', () => {
    expect([...stepsUpTo(plan, 'accept')].toSorted()).toEqual(['accept', 'build', 'ship'])
    expect([...stepsUpTo(plan, 'last')].toSorted()).toEqual(['accept', 'after', 'aside', 'build', 'last', 'ship'])
  })

  it('is due once it has succeeded, as long as something up to it is owed', () => {
    const done = [ended('build'), ended('ship'), ended('accept')]
    expect(pointsDue({ plan, outcomes: done, undo: owes('ship', 'aside') })).toEqual(['accept'])
    expect(pointsDue({ plan, outcomes: done, undo: owes('accept') })).toEqual(['accept'])
    expect(pointsDue({ plan, outcomes: done, undo: owes('aside', 'after') })).toEqual([])
    expect(pointsDue({ plan, outcomes: done, undo: [{ step: 'ship', status: 'discharged' }] })).toEqual([])
    expect(pointsDue({ plan, outcomes: done.slice(0, 2), undo: owes('ship') })).toEqual([])
  })

  it('is due by its newest attempt only', () => {
    const again = [ended('accept'), ended('accept', 'errored', 2)]
    expect(pointsDue({ plan, outcomes: again, undo: owes('ship') })).toEqual([])
    const good = [ended('accept', 'failed'), ended('accept', 'succeeded', 2)]
    expect(pointsDue({ plan, outcomes: good, undo: owes('ship') })).toEqual(['accept'])
  })

  it('is waited for by what needs it, near and far, and by nothing else', () => {
    const waiting = steps.map(({ id }) => id).filter((id) => waitsFor(plan, id, ['accept']))
    expect(waiting).toEqual(['accept', 'after', 'last'])
    expect(steps.filter(({ id }) => waitsFor(plan, id, []))).toEqual([])
  })
})
