import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { advance } from './advance.ts'
import { settleOutcome } from './outcome.ts'
import type { Plan, PlanStep, Retry } from './plan.ts'
import type { Outcome } from './step.ts'

const noRetry: Retry = { max: 0, on: [], exitCodes: [], backoffMs: 0 }

function commandStep(id: string, needs: string[], extra: Partial<PlanStep> = {}): PlanStep {
  const commands = { lines: ['true'], shell: 'sh' as const, workingDirectory: '.' }
  return { id, needs, kind: 'commands', commands, segment: 0, env: {}, timeoutMs: 1000, retry: noRetry, ...extra } as PlanStep
}

function planOf(steps: PlanStep[], rules: Plan['rules']): Plan {
  const segments = [{ id: 0, steps: steps.map(({ id }) => id) }]
  return { rules, pipeline: 'p', file: '.belay.yml', timeoutMs: 1000, steps, segments, finally: [] }
}

function ended(step: string, status: Outcome['status'], extra: Partial<Outcome> = {}): Outcome {
  return { step, attempt: 1, epoch: 1, status, endedAt: 100, ...extra }
}

describe.each([1, 2] as const)('advance by rules %i', (rules) => {
  const chain = planOf([commandStep('a', []), commandStep('b', ['a']), commandStep('c', ['b'])], rules)

  it('starts what needs nothing, and then what needs what succeeded', () => {
    expect(advance(chain, [], 0).ready).toEqual([{ step: 'a', attempt: 1 }])
    expect(advance(chain, [ended('a', 'succeeded')], 0).ready).toEqual([{ step: 'b', attempt: 1 }])
  })

  it('is done when every step has a final outcome', () => {
    const all = ['a', 'b', 'c'].map((id) => ended(id, 'succeeded'))
    expect(advance(chain, all, 0)).toEqual({ ready: [], skipped: [], stopped: false, done: true })
  })

  it('starts nothing new after the first step that failed for good', () => {
    const wide = planOf([commandStep('a', []), commandStep('b', [])], rules)
    expect(advance(wide, [ended('a', 'failed')], 0)).toMatchObject({ ready: [], stopped: true, done: true })
  })

  it('waits for a retry, and then gives the next attempt', () => {
    const failed = ended('a', 'failed', { retryAt: 500 })
    expect(advance(chain, [failed], 499)).toMatchObject({ ready: [], retryAt: 500, stopped: false, done: false })
    expect(advance(chain, [failed], 500).ready).toEqual([{ step: 'a', attempt: 2 }])
  })

  it('skips a step that was left out, and all that need it, in whatever order they were written', () => {
    const plan = planOf(
      [commandStep('c', ['b']), commandStep('b', ['a']), commandStep('a', [], { skip: 'not on this branch' })],
      rules,
    )
    const next = advance(plan, [], 7)
    expect(next.skipped.map(({ step, reason }) => [step, reason])).toEqual([
      ['a', 'not on this branch'],
      ['b', 'needs "a", which was skipped'],
      ['c', 'needs "b", which was skipped'],
    ])
    expect(next).toMatchObject({ ready: [], done: true, stopped: false })
  })

  it('carries every plan to its end, whatever the outcomes, starting each attempt once', () => {
    const status = fc.constantFrom('succeeded', 'succeeded', 'succeeded', 'failed', 'errored', 'timed_out' as const)
    fc.assert(
      fc.property(
        fc.array(fc.nat({ max: 20 }), { maxLength: 20 }),
        fc.array(status, { minLength: 80, maxLength: 80 }),
        (links, ends) => {
          const steps = links.map((link, index) =>
            commandStep(`s${String(index)}`, index === 0 ? [] : [`s${String(link % index)}`], {
              retry: { max: 2, on: ['failed', 'errored'], exitCodes: [], backoffMs: 10 },
            }),
          )
          const plan = planOf(steps, rules)
          const started = new Set<string>()
          let outcomes: Outcome[] = []
          let now = 0
          let turn = 0
          for (;;) {
            const next = advance(plan, outcomes, now)
            outcomes = [...outcomes, ...next.skipped]
            if (next.done) break
            for (const { step, attempt } of next.ready) {
              expect(started.has(`${step}/${String(attempt)}`)).toBe(false)
              started.add(`${step}/${String(attempt)}`)
              const raw: Outcome = { step, attempt, epoch: 1, status: ends[turn++ % ends.length] ?? 'succeeded', endedAt: now }
              outcomes = [...outcomes, settleOutcome(steps.find(({ id }) => id === step) ?? { retry: noRetry }, raw)]
            }
            now = next.ready.length > 0 ? now : (next.retryAt ?? now + 1)
          }
          expect(advance(plan, outcomes, now).done).toBe(true)
        },
      ),
    )
  })
})

describe('settleOutcome', () => {
  const retry: Retry = { max: 2, on: ['failed'], exitCodes: [75], backoffMs: 100 }

  it.each([
    ['an exit code that is listed', ended('a', 'failed', { exitCode: 75 }), 200],
    ['the wait doubles with each attempt', ended('a', 'failed', { exitCode: 75, attempt: 2 }), 300],
    ['an exit code that is not listed', ended('a', 'failed', { exitCode: 1 }), undefined],
    ['attempts used up', ended('a', 'failed', { exitCode: 75, attempt: 3 }), undefined],
    ['a status that is not listed', ended('a', 'timed_out'), undefined],
    ['a success', ended('a', 'succeeded'), undefined],
    ['a cancel', ended('a', 'cancelled'), undefined],
  ])('%s', (_title, outcome, retryAt) => {
    expect(settleOutcome({ retry }, outcome).retryAt).toBe(retryAt)
  })
})
