import { describe, expect, it } from 'vitest'
import { countLost, isFinal, latestOutcomes, settleOutcome } from './outcome.ts'
import type { Plan, PlanStep } from './plan.ts'
import { mustBeResumable, resumeOutcomes, stepsToDoAgain } from './resume-run.ts'
import type { UndoItem } from './run-event.ts'
import { runEnds, runStatuses } from './run.ts'
import type { Outcome } from './step.ts'

const commands = { lines: ['true'], shell: 'sh' as const, workingDirectory: '.' }

function step(id: string, needs: string[], extra: Partial<PlanStep> = {}): PlanStep {
  const retry = { max: 0, on: [], exitCodes: [], backoffMs: 0 }
  return { id, needs, kind: 'commands', commands, segment: 0, env: {}, timeoutMs: 1000, retry, ...extra } as PlanStep
}

const steps = [
  step('build', []),
  step('docs', [], { skip: 'its `when` does not match' }),
  step('publish_docs', ['docs']),
  step('stage', ['build']),
  step('accept', ['stage']),
  step('ship', ['accept']),
]
const plan = { rules: 1, pipeline: 'p', file: '.belay.yml', timeoutMs: 1, steps, segments: [], finally: [] } satisfies Plan

function ended(id: string, status: Outcome['status'], extra: Partial<Outcome> = {}): Outcome {
  return { step: id, attempt: 1, epoch: 1, status, endedAt: 5, ...extra }
}

const outcomes = [
  ended('build', 'succeeded'),
  ended('docs', 'skipped'),
  ended('publish_docs', 'skipped'),
  ended('stage', 'succeeded'),
  ended('accept', 'failed', { attempt: 1 }),
  ended('accept', 'failed', { attempt: 2, exitCode: 3, tail: 'no', startedAt: 4 }),
  ended('ship', 'skipped', { reason: 'the run stopped before' }),
]

const nothing = { blobs: new Set<string>(), releases: new Set<string>() }

const again = (more: { undo?: UndoItem[]; from?: string }) => [...stepsToDoAgain({ plan, outcomes, undo: [], ...more })]

describe('what is done again', () => {
  it('is what did not succeed and what never began, but not what was left out', () => {
    expect(again({})).toEqual(['accept', 'ship'])
  })

  it('is what was taken back, whatever became of that, and all that needs it', () => {
    for (const status of ['done', 'failed', 'skipped', 'running'] as const) {
      expect(again({ undo: [{ step: 'stage', does: 'x', status }] })).toEqual(['stage', 'accept', 'ship'])
    }
    for (const status of ['owed', 'discharged'] as const) {
      expect(again({ undo: [{ step: 'stage', does: 'x', status }] })).toEqual(['accept', 'ship'])
    }
  })

  it('is the step that a person names, and all that needs it', () => {
    expect(again({ from: 'build' })).toEqual(['build', 'stage', 'accept', 'ship'])
    expect(() => again({ from: 'biuld' })).toThrow('the plan has no step "biuld"')
  })
})

it('the next attempt of each is ready, what it left counts for nothing, and the rest stays as it was', () => {
  const left = { deployments: [{ environment: 'production', deploymentId: 'd' }] }
  const known = [{ ...outcomes[0], result: left }, ...outcomes.slice(1, -1), { ...outcomes.at(-1), result: left }] as Outcome[]
  const resumed = resumeOutcomes({ plan, outcomes: known, undo: [], gone: nothing, epoch: 7, now: 100 })
  const spent = (outcome: Outcome) => (['accept', 'ship'].includes(outcome.step) ? { ...outcome, lost: true } : outcome)
  expect(resumed.slice(0, outcomes.length)).toEqual([known[0], ...outcomes.slice(1).map(spent)])
  const latest = latestOutcomes(resumed)
  expect(latest.get('accept')).toEqual({
    ...{ step: 'accept', attempt: 2, epoch: 7, startedAt: 4, status: 'errored', endedAt: 100, retryAt: 100, lost: true },
    reason: 'is done again',
  })
  expect(latest.get('build')).toEqual(known[0])
  expect(latest.get('ship')).toMatchObject({ attempt: 1, epoch: 7, retryAt: 100 })
})

it('the retries of a step that is done again count anew', () => {
  const retry = { max: 2, on: ['failed' as const], exitCodes: [], backoffMs: 0 }
  const known = [1, 2, 3].map((attempt) => ended('accept', 'failed', { attempt }))
  const resumed = resumeOutcomes({ plan, outcomes: known, undo: [], gone: nothing, epoch: 7, now: 100 })
  const settle = (attempt: number) =>
    settleOutcome({ retry }, ended('accept', 'failed', { attempt, epoch: 7 }), countLost(resumed, 'accept'))
  expect([4, 5].map((attempt) => isFinal(settle(attempt)))).toEqual([false, false])
  expect(isFinal(settle(6))).toBe(true)
})

describe('what a step left and is gone', () => {
  const artifact = (digest: string) => ({ path: digest, digest, sizeBytes: 1, executable: false })
  const checkpoint = (digest: string, ...under: string[]) => ({ checkpoint: { digest, sizeBytes: 1, steps: under } })
  const image = { repository: 'shop/app', digest: 'i' }
  const made = [
    step('build', []),
    step('lint', ['build']),
    step('image', ['build'], { kind: 'build_image' }),
    step('publish', ['lint'], { undo: { commands, env: {}, timeoutMs: 1000, attempts: 1 } }),
    step('version', ['image'], { kind: 'release', release: { from: ['image', 'lint'] } }),
    step('gate', ['version', 'publish']),
  ]
  const results: Record<string, Outcome['result']> = {
    build: { artifacts: [artifact('a'), artifact('b')], ...checkpoint('c1', 'build') },
    lint: checkpoint('c2', 'build', 'lint'),
    image: { image },
    publish: checkpoint('c3', 'build', 'lint', 'image', 'publish'),
    version: { release: { id: 'r', number: 1, version: '1' }, image },
  }

  function resume(blobs: string[], { releases = [] as string[], from = 'gate' } = {}) {
    const known = made.map(({ id }, at) => {
      const result = results[id]
      // Not in the order of their names.
      return ended(id, id === 'gate' ? 'failed' : 'succeeded', { endedAt: at, ...(result === undefined ? {} : { result }) })
    })
    const input = { plan: { ...plan, steps: made }, outcomes: known.toReversed(), undo: [], from, epoch: 7, now: 100 }
    const latest = latestOutcomes(resumeOutcomes({ ...input, gone: { blobs: new Set(blobs), releases: new Set(releases) } }))
    const kept = [...latest.values()].flatMap(({ result }) => result?.checkpoint?.digest ?? [])
    return { again: made.map(({ id }) => id).filter((id) => latest.get(id)?.retryAt !== undefined), kept }
  }

  it('is nothing as a rule, and one checkpoint is left: the newest', () => {
    expect(resume([])).toEqual({ again: ['gate'], kept: ['c3'] })
  })

  it('has a step whose artifact is gone done again, and all that needs it', () => {
    expect(resume(['b'])).toEqual({ again: ['build', 'lint', 'image', 'publish', 'version', 'gate'], kept: [] })
  })

  it('has what lay under a checkpoint done again, but for what an older one has; what has an undo or is an image does not lie there', () => {
    expect(resume(['c3'])).toEqual({ again: ['gate'], kept: ['c2'] })
    expect(resume(['c3', 'c2'])).toEqual({ again: ['lint', 'publish', 'gate'], kept: ['c1'] })
    expect(resume(['c3', 'c2', 'c1']).again).toEqual(['build', 'lint', 'image', 'publish', 'version', 'gate'])
    expect(resume(['c1', 'c2'])).toEqual({ again: ['gate'], kept: ['c3'] })
  })

  it('counts an older checkpoint only if nothing in it is done again', () => {
    expect(resume(['c3'], { from: 'lint' })).toEqual({ again: ['lint', 'publish', 'gate'], kept: ['c1'] })
    expect(resume(['c1'], { from: 'lint' }).again).toContain('build')
  })

  it('has a release made again that was removed, from an image that is built again', () => {
    expect(resume([], { releases: ['r'] })).toEqual({ again: ['image', 'version', 'gate'], kept: ['c2'] })
  })
})

it('only a run that has ended badly can be gone on with, and the error says what else there is', () => {
  const refused = runStatuses.filter((status) => {
    try {
      mustBeResumable({ number: 3, status })
      return false
    } catch {
      return true
    }
  })
  expect(refused).toEqual(['queued', 'running', 'rollback_blocked', 'succeeded', 'skipped'])
  expect(runEnds.length).toBe(7)
  expect(() => mustBeResumable({ number: 3, status: 'succeeded' })).toThrow('run 3 has succeeded')
})
