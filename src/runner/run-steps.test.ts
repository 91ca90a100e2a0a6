import { describe, expect, it } from 'vitest'
import { BelayError } from '../domain/errors.ts'
import type { Plan } from '../domain/plan.ts'
import type { Outcome } from '../domain/step.ts'
import { createRunStops } from './run-stops.ts'
import { runSteps, type RunStepsInput, type RunStepsResult } from './run-steps.ts'
import { stopReasonOf, stopWith, whenStopped } from './stop.ts'
import { commandsStep, planOf } from './testing/plan.ts'

type Script = Record<string, (attempt: number) => Outcome['status'] | Promise<Outcome['status'] | undefined>>

/** Runs segment 0 with steps that end as the script says; `log` tells what began and what was put on disk, in order. */
async function run(plan: Plan, script: Script, over: Partial<RunStepsInput> = {}): Promise<RunStepsResult & { log: string[] }> {
  const log: string[] = []
  const [segment] = plan.segments
  if (segment === undefined) throw new Error('no segment')
  const result = await runSteps({
    runId: 'run',
    plan,
    segment,
    epoch: 1,
    known: [],
    interruptions: {},
    signal: new AbortController().signal,
    stops: createRunStops(),
    record: (outcome) => void log.push(`${outcome.step} ${outcome.status}`),
    async runAttempt({ id }, attempt) {
      log.push(`${id} ${String(attempt)}`)
      const status = await script[id]?.(attempt)
      return status === undefined ? undefined : { step: id, attempt, epoch: 1, status, endedAt: Date.now() }
    },
    ...over,
  })
  return { ...result, log }
}

const good = () => 'succeeded' as const
const chain = planOf([commandsStep('a', []), commandsStep('b', [], { needs: ['a'] }), commandsStep('c', [], { needs: ['b'] })])
const pair = planOf([commandsStep('a', []), commandsStep('b', [])])
const statuses = (result: RunStepsResult) => result.outcomes.map((outcome) => `${outcome.step} ${outcome.status}`)

describe('run-steps', () => {
  it('puts an outcome on disk before the next step begins', async () => {
    const result = await run(chain, { a: good, b: good, c: good })
    expect(result.log).toEqual(['a 1', 'a succeeded', 'b 1', 'b succeeded', 'c 1', 'c succeeded'])
    expect(result.ended).toBe('complete')
  })

  it('starts what is ready at the same time together', async () => {
    let arrived = 0
    let open: () => void = () => undefined
    const both = new Promise<void>((resolve) => (open = resolve))
    const meet = async () => {
      arrived += 1
      if (arrived === 2) open()
      await both
      return 'succeeded' as const
    }
    expect(statuses(await run(pair, { a: meet, b: meet }))).toHaveLength(2)
  })

  it('runs nothing again that has an outcome already', async () => {
    const known: Outcome[] = [{ step: 'a', attempt: 1, epoch: 0, status: 'succeeded', endedAt: 1 }]
    const result = await run(chain, { b: good, c: good }, { known })
    expect(statuses(result)).toEqual(['b succeeded', 'c succeeded'])
  })

  it('waits out a backoff and tries again', async () => {
    const retry = { max: 2, on: ['failed' as const], exitCodes: [], backoffMs: 20 }
    const plan = planOf([commandsStep('a', [], { retry }), commandsStep('b', [], { needs: ['a'] })])
    const result = await run(plan, { a: (attempt) => (attempt < 3 ? 'failed' : 'succeeded'), b: good })
    expect(result.log.filter((line) => /\d/.test(line))).toEqual(['a 1', 'a 2', 'a 3', 'b 1'])
    const [first, second] = result.outcomes
    expect((second?.retryAt ?? 0) - (second?.endedAt ?? 0)).toBe(40)
    expect((first?.retryAt ?? 0) <= (second?.endedAt ?? 0)).toBe(true)
  })

  it('starts nothing new once a step has failed for good, and lets the others finish', async () => {
    const plan = planOf([commandsStep('a', []), commandsStep('b', []), commandsStep('c', [], { needs: ['b'] })])
    let fail: () => void = () => undefined
    const failed = new Promise<void>((resolve) => (fail = resolve))
    const result = await run(plan, {
      a: () => {
        fail()
        return 'failed'
      },
      b: async () => {
        await failed
        return good()
      },
      c: good,
    })
    expect(statuses(result)).toEqual(['a failed', 'b succeeded'])
    expect(result.ended).toBe('complete')
  })

  it('starts nothing new, and waits for no retry, when another segment of the run has failed', async () => {
    const stops = createRunStops()
    const retry = { max: 1, on: ['failed' as const], exitCodes: [], backoffMs: 3_600_000 }
    const plan = planOf([commandsStep('a', [], { retry }), commandsStep('b', [], { needs: ['a'] })])
    const running = run(plan, { a: () => 'failed' }, { stops, record: () => setImmediate(() => stops.stop('run')) })
    expect(statuses(await running)).toEqual(['a failed'])
  })

  it.each(['cancelled', 'drained', 'lost'] as const)('says why it ended early: %s', async (reason) => {
    const controller = new AbortController()
    const { signal } = controller
    const stopped = async (): Promise<Outcome['status'] | undefined> => {
      stopWith(controller, reason)
      await whenStopped(signal)
      return stopReasonOf(signal) === 'cancelled' ? 'cancelled' : undefined
    }
    const result = await run(chain, { a: good, b: stopped, c: good }, { signal })
    expect(result.ended).toBe(reason)
    expect(statuses(result)).toEqual(reason === 'cancelled' ? ['a succeeded', 'b cancelled'] : ['a succeeded'])
  })

  it('gives a step up after its fifth interruption, whatever its retries', async () => {
    const plan = planOf([commandsStep('a', [], { retry: { max: 5, on: ['errored'], exitCodes: [], backoffMs: 0 } })])
    expect((await run(plan, { a: good }, { interruptions: { a: 4 } })).outcomes[0]?.status).toBe('succeeded')
    const result = await run(plan, { a: good }, { interruptions: { a: 5 } })
    expect(result.outcomes).toMatchObject([{ step: 'a', attempt: 1, status: 'errored' }])
    expect(result.outcomes[0]?.retryAt).toBeUndefined()
    expect(result.outcomes[0]?.reason).toContain('runner lost')
  })

  it('returns the steps that are skipped, with their reasons, and only its own', async () => {
    const steps = [
      commandsStep('a', [], { skip: 'not on this branch' }),
      commandsStep('b', [], { needs: ['a'] }),
      commandsStep('z', [], { skip: 'no', segment: 1 }),
    ]
    const result = await run(planOf(steps), {})
    expect(result.outcomes.map(({ step, status, reason }) => [step, status, reason])).toEqual([
      ['a', 'skipped', 'not on this branch'],
      ['b', 'skipped', 'needs "a", which was skipped'],
    ])
  })

  const broken = () => {
    throw new Error('the disk is full')
  }
  /** Ends after everything that ends at once. */
  const late = async () => {
    await new Promise((resolve) => setImmediate(resolve))
    return 'succeeded' as const
  }

  it('keeps what had finished when a step breaks, which is errored, and lets the others finish', async () => {
    const plan = planOf([
      commandsStep('a', []),
      commandsStep('b', [], { needs: ['a'] }),
      commandsStep('c', [], { needs: ['a'] }),
      commandsStep('d', [], { needs: ['c'] }),
    ])
    const result = await run(plan, { a: good, b: broken, c: late, d: good }, { epoch: 3 })
    expect(statuses(result)).toEqual(['a succeeded', 'b errored', 'c succeeded'])
    expect(result.outcomes[1]).toMatchObject({
      epoch: 3,
      attempt: 1,
      reason: expect.stringContaining('the disk is full') as string,
    })
    expect(result.ended).toBe('complete')
    expect(result.log).toContain('b errored')
  })

  it('tries a step that broke once more if its policy says so', async () => {
    const retry = { max: 1, on: ['errored' as const], exitCodes: [], backoffMs: 1 }
    const result = await run(planOf([commandsStep('a', [], { retry })]), { a: (attempt) => (attempt === 1 ? broken() : good()) })
    expect(statuses(result)).toEqual(['a errored', 'a succeeded'])
  })

  it('keeps an outcome as it is where it cannot be put on disk, and starts nothing more', async () => {
    const result = await run(chain, { a: good, b: good, c: good }, { record: broken })
    expect(statuses(result)).toEqual(['a succeeded'])
    expect(result.ended).toBe('complete')
  })

  it('has no outcome for a step that broke while it was being stopped: it runs again', async () => {
    const controller = new AbortController()
    const stopped = () => {
      stopWith(controller, 'drained')
      return broken()
    }
    const result = await run(chain, { a: good, b: stopped }, { signal: controller.signal })
    expect([statuses(result), result.ended]).toEqual([['a succeeded'], 'drained'])
  })

  it('throws that its epoch is over after everything that ran has ended', async () => {
    let ended = false
    const last = async () => {
      await late()
      ended = true
      return 'succeeded' as const
    }
    const over = () => {
      throw new BelayError({ code: 'stale', message: 'given out again' })
    }
    await expect(run(pair, { a: over, b: last })).rejects.toMatchObject({ code: 'stale' })
    expect(ended).toBe(true)
  })
})
