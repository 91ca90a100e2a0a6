import { describe, expect, it } from 'vitest'
import { advance } from './advance.ts'
import { keepFirstArtifacts, loseOutcomes } from './lost-workspace.ts'
import { countLost, latestOutcomes, mergeOutcomes, settleOutcome } from './outcome.ts'
import type { Plan, PlanStep, Retry } from './plan.ts'
import type { Artifact, Outcome } from './step.ts'

const retry: Retry = { max: 1, on: ['failed'], exitCodes: [], backoffMs: 100 }
const commands = { lines: ['true'], shell: 'sh' as const, workingDirectory: '.' }

function step(id: string, needs: string[], extra: Partial<PlanStep> = {}): PlanStep {
  return { id, needs, kind: 'commands', commands, segment: 0, env: {}, timeoutMs: 1000, retry, ...extra } as PlanStep
}

function planOf(steps: PlanStep[]): Plan {
  return { rules: 2, pipeline: 'p', file: '.belay.yml', timeoutMs: 1000, steps, segments: [], finally: [] }
}

function ended(id: string, extra: Partial<Outcome> = {}): Outcome {
  return { step: id, attempt: 1, epoch: 1, status: 'succeeded', startedAt: 50, endedAt: 100, exitCode: 0, ...extra }
}

const artifact = (path: string, digit: string): Artifact => ({
  path,
  digest: `sha256:${digit.repeat(64)}`,
  sizeBytes: 1,
  executable: false,
})

const undo = { commands, env: {}, timeoutMs: 1000, attempts: 1 }
const plan = planOf([
  step('a', []),
  step('b', ['a']),
  step('migrate', ['b'], { undo }),
  step('image', ['b'], { kind: 'build_image' }),
  step('c', ['b', 'image', 'migrate']),
])
const done = ['a', 'b', 'migrate', 'image'].map((id) => ended(id))
const lose = (outcomes: Outcome[], kept: string[] = [], epoch = 2) =>
  mergeOutcomes(outcomes, loseOutcomes(plan, outcomes, { runner: 'r1', epoch, kept, now: 500 }))

describe('a lost workspace', () => {
  it('makes the steps that were done in it new attempts; images and steps with an undo keep their outcomes', () => {
    const outcomes = lose(done)
    const latest = latestOutcomes(outcomes)
    expect([...latest.values()].map(({ step: id, status, lost }) => [id, status, lost])).toEqual([
      ['a', 'errored', true],
      ['b', 'errored', true],
      ['migrate', 'succeeded', undefined],
      ['image', 'succeeded', undefined],
    ])
    expect(latest.get('a')).toMatchObject({ attempt: 1, epoch: 2, reason: 'its workspace was lost with runner "r1"' })
    expect(latest.get('a')).not.toHaveProperty('exitCode')
  })

  it('has nothing of what was done since, in the new one', () => {
    const outcomes = lose(done).concat(ended('a', { attempt: 2, epoch: 2 }))
    expect(lose(outcomes)).toEqual(outcomes)
    // Heard of late: it was done in the lost one.
    expect(latestOutcomes(lose([...outcomes, ended('c')])).get('c')).toMatchObject({ attempt: 1, epoch: 2, lost: true })
  })

  it('has them done again in the order of their needs', () => {
    let outcomes = lose(done)
    const order: string[] = []
    for (let next = advance(plan, outcomes, 500); !next.done; next = advance(plan, outcomes, 500)) {
      order.push(next.ready.map(({ step: id, attempt }) => `${id}/${String(attempt)}`).join())
      outcomes = mergeOutcomes(
        outcomes,
        next.ready.map(({ step: id, attempt }) => ended(id, { attempt, epoch: 2 })),
      )
    }
    expect(order).toEqual(['a/2', 'b/2', 'c/1'])
  })

  it('lets a step wait for what is done again behind one that keeps its outcome', () => {
    const chain = planOf([step('a', []), step('migrate', ['a'], { undo }), step('c', ['migrate'])])
    const outcomes = ['a', 'migrate'].map((id) => ended(id))
    const lost = loseOutcomes(chain, outcomes, { runner: 'r1', epoch: 2, kept: [], now: 500 })
    const merged = mergeOutcomes(outcomes, lost)
    expect(advance(chain, merged, 500).ready).toEqual([{ step: 'a', attempt: 2 }])
    expect(advance(chain, [...merged, ended('a', { attempt: 2, epoch: 2 })], 500).ready).toEqual([{ step: 'c', attempt: 1 }])
  })

  it('lets a step that was to be tried again wait for what it needs, too', () => {
    const failed = ended('c', { status: 'failed', retryAt: 200 })
    expect(advance(plan, [...done, failed], 300).ready).toEqual([{ step: 'c', attempt: 2 }])
    expect(advance(plan, lose([...done, failed]), 500).ready).toEqual([{ step: 'a', attempt: 2 }])
  })

  it('leaves what the restored checkpoint holds as it is', () => {
    expect(advance(plan, lose(done, ['a']), 500).ready).toEqual([{ step: 'b', attempt: 2 }])
  })

  it('takes no attempt away from what a step may have of its own', () => {
    const outcomes = lose(lose(done).concat(ended('a', { attempt: 2, epoch: 2 })), [], 3)
    expect(countLost(outcomes, 'a')).toBe(2)
    const failed = ended('a', { attempt: 3, epoch: 3, status: 'failed' })
    expect(settleOutcome({ retry }, failed, countLost(outcomes, 'a')).retryAt).toBe(200)
    expect(settleOutcome({ retry }, { ...failed, attempt: 4 }, countLost(outcomes, 'a')).retryAt).toBeUndefined()
  })

  it('keeps the digests of artifacts that others may have seen', () => {
    const first = ended('a', { result: { artifacts: [artifact('x', '1'), artifact('y', '2')] } })
    const again = ended('a', { attempt: 2, epoch: 2, result: { artifacts: [artifact('x', '3'), artifact('z', '4')] } })
    expect(keepFirstArtifacts(lose([first]), again).result?.artifacts).toEqual([artifact('x', '1'), artifact('z', '4')])
    expect(keepFirstArtifacts([first], again)).toBe(again)
  })
})
