import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { openFrontDoor, startPlannedRun, type FrontDoor } from '../../test/helpers/front-door.ts'
import { until } from '../../test/helpers/until.ts'
import type { DeployRequest } from '../domain/environment.ts'
import { emptyEnvironment } from '../domain/environment-rules.ts'
import { BelayError } from '../domain/errors.ts'
import type { RunEvent, RunEventBody } from '../domain/run-event.ts'
import type { RunEnd } from '../domain/run.ts'
import { settleUndo, type SettleUndo } from '../domain/settle-undo.ts'
import type { Run } from '../store/store.ts'
import { runProgram } from './program.ts'
import { testIo } from './test-io.ts'

let door: FrontDoor
let run: Run
let asked: SettleUndo[]
let n: number

beforeEach(async () => {
  door = await openFrontDoor()
  run = await startPlannedRun(door.store)
  asked = []
  n = 0
  const owed = (step: string): RunEventBody[] => [
    { type: 'undo', item: { step, does: `undo ${step}`, status: 'owed' } },
    { type: 'undo', item: { step, does: `undo ${step}`, status: 'failed', reason: `no \u001b[31m${step}` } },
  ]
  await tell({ type: 'run', status: 'running' }, ...owed('one'), ...owed('two'))
  await door.store.runs.finish(run.id, { status: 'rollback_blocked', reason: 'could not be taken back: two, one', at: 1 }, [])
})

afterEach(() => door.close())

async function belay(...args: string[]) {
  const env = { BELAY_URL: await door.listen(), BELAY_TOKEN: await door.token('operator') }
  const io = testIo({ cwd: door.directory, env })
  await runProgram(args, io)
  return io.result
}

async function tell(...bodies: RunEventBody[]): Promise<void> {
  const events: RunEvent[] = bodies.map((body) => ({ source: 'run', epoch: 0, n: n++, at: 1_000 + n, body }))
  await door.store.runs.record(run.id, events)
}

/** In the place of the run's workflow: blocked at these, and this is what comes of it. */
function blockedAt(steps: string[], then: () => Promise<void>): void {
  door.orchestrator.settleUndo = async (_, request) => {
    asked.push(request)
    const blocked = steps.map((step) => ({ step, does: `undo ${step}` }))
    const answer = settleUndo(request, { number: run.number, status: 'rollback_blocked', blocked })
    await then()
    return answer
  }
}

const ends = (status: RunEnd) => () => door.store.runs.finish(run.id, { status, at: 2 }, [])

describe('show', () => {
  test('names the undo that is blocked, why it failed, and the two commands', async () => {
    const { out } = await belay('show', '1')
    expect(out).toContain('blocked: the undo of "two" could not be done: no ')
    expect(out).toMatch(/^ {2}belay retry 1 --project shop +tries it again/m)
    expect(out).toMatch(/^ {2}belay skip 1 --project shop --reason "…" +gives it up/m)
    expect(out).not.toContain('\u001b')
  })

  test('says nothing of it once the run has ended', async () => {
    await ends('rollback_failed')()
    expect((await belay('show', '1')).out).not.toContain('belay retry')
  })
})

describe('show of a run that waits', () => {
  const forRunner: RunEventBody = { type: 'waiting', for: 'runner "local" (nothing is heard of it)' }
  const shown = async () => /^waiting.*$/m.exec((await belay('show', '1')).out)?.[0]

  test('says for what, until something else happens in it', async () => {
    await tell(forRunner)
    expect(await shown()).toMatch(/^waiting for runner "local" \(nothing is heard of it\), since \S+/)
    await tell({ type: 'workspace', runner: 'other', epoch: 2, status: 'opened' })
    expect(await shown()).toBeUndefined()
  })

  test('says nothing of it once the run has ended', async () => {
    await tell(forRunner)
    await ends('cancelled')()
    await tell(forRunner)
    expect(await shown()).toBeUndefined()
  })

  test('says once what a queued deployment waits for', async () => {
    const image = { repository: 'shop/app', digest: `sha256:${'a'.repeat(64)}`, sizeBytes: 1 }
    const release = {
      id: crypto.randomUUID(),
      number: 1,
      version: '1',
      project: 'shop',
      sha: run.trigger.sha,
      runId: run.id,
      image,
    }
    const request: DeployRequest = {
      ...{ id: `${run.id}/ship/eu/1`, runId: run.id, step: 'ship', release, ref: run.trigger.ref, sequence: 1, forced: false },
      deploy: { environment: 'eu', strategy: 'blue_green', health: {}, bakeMs: 0 },
    }
    const held = { until: 9_000, reason: 'frozen until Monday' }
    await door.store.environments.record({ ...emptyEnvironment('eu', 1), queue: [request], held })
    await tell({ type: 'waiting', for: 'eu (frozen until Monday)' })
    const { out } = await belay('show', '1')
    expect(out.match(/frozen until Monday/g)).toHaveLength(1)
    expect(out).toContain('ship waits for eu (frozen until Monday)')
  })
})

describe('retry', () => {
  test.each(['rolled_back', 'cancelled'] as const)('that ends the run %s is good', async (end) => {
    blockedAt(['two'], async () => {
      await tell({ type: 'run', status: 'running', reason: 'the undo of "two" is tried again by operator: disk is free' })
      await ends(end)()
    })
    const { code, out } = await belay('retry', '1', '--reason', 'disk is free')
    expect(code).toBe(0)
    expect(out).toContain('run 1: the undo of "two" is tried again (undo two)\n')
    expect(out).toContain('tried again by operator: disk is free\n')
    expect(out).toContain(`run 1 ${end}\n`)
    // What was told before it asked is not told again.
    expect(out).not.toContain('undo one')
    expect(asked).toMatchObject([{ action: 'retry', reason: 'disk is free', actor: { name: 'operator' } }])
  })

  test('that fails again is exit 4 at once, and does not wait for the end of a run that has none', async () => {
    blockedAt(['two', 'one'], async () => {
      await tell({ type: 'run', status: 'running' }, { type: 'run', status: 'rollback_blocked', reason: 'no again' })
    })
    const { code, out } = await belay('retry', '1', '--step', 'two')
    expect(code).toBe(4)
    expect(out).toContain('blocked after it, in their turn: one\n')
    expect(out).toContain('run rollback_blocked: no again\n')
  })

  test("of another step's undo is exit 2, and says which one is blocked", async () => {
    blockedAt(['two', 'one'], () => Promise.resolve())
    const { code, err } = await belay('retry', '1', '--step', 'one')
    expect({ code, err }).toEqual({ code: 2, err: expect.stringContaining('what is blocked is the undo of "two"') as string })
  })

  test("of a step's undo, of a run that is not blocked, is exit 2", async () => {
    door.orchestrator.settleUndo = () => Promise.resolve(undefined)
    await ends('succeeded')()
    const { code, err } = await belay('retry', '1', '--step', 'two')
    expect({ code, err }).toEqual({
      code: 2,
      err: expect.stringContaining('it is not blocked at an undo') as string,
    })
  })

  test('of a run that has ended badly goes on with it, from a step if one is named, and exits as its end says', async () => {
    await ends('failed')()
    const going = belay('retry', '1', '--from', 'build', '--reason', 'again')
    const resumed = await until('it goes on', async () => {
      const seen = await door.store.runs.find(run.id)
      return seen?.round === 1 ? seen : undefined
    })
    expect(resumed.reason).toBe('retried by operator from "build": again')
    await door.store.runs.finish(run.id, { status: 'rolled_back', at: 3, round: 1 }, [])
    const { code, out } = await going
    expect({ code, out }).toEqual({ code: 3, out: expect.stringMatching(/^run 1 goes on {2}.*run 1 rolled_back\n$/s) as string })
  })

  test('whose answer is lost is asked again, and goes on with the run once', async () => {
    await ends('failed')()
    const { resume } = door.store.runs
    const keys: string[] = []
    door.store.runs.resume = async (input) => {
      const resumed = await resume(input)
      if (keys.push(input.key) > 1) return resumed
      throw new BelayError({ code: 'unavailable', message: 'the answer is lost', retryable: true })
    }
    expect(await belay('retry', '1', '--detach')).toMatchObject({ code: 0, err: '' })
    expect(keys).toEqual([keys[0], keys[0]])
    expect(await door.store.runs.find(run.id)).toMatchObject({ status: 'queued', round: 1 })
  })

  test('of a run that has succeeded is exit 2, and --from with --step is, too', async () => {
    await ends('succeeded')()
    expect(await belay('retry', '1')).toMatchObject({ code: 2, err: expect.stringContaining('run 1 has succeeded') as string })
    expect(await belay('retry', '1', '--from', 'build', '--step', 'two')).toMatchObject({ code: 2 })
  })

  test('--detach waits for nothing; --json has the run and what will happen', async () => {
    blockedAt(['two'], () => Promise.resolve())
    const { code, out } = await belay('retry', '1', '--detach', '--json')
    expect(code).toBe(0)
    expect(JSON.parse(out)).toMatchObject({ id: run.id, settled: { action: 'retry', step: 'two', left: [] } })
  })

  test('who stops watching is told that it goes on', async () => {
    blockedAt(['two'], () => Promise.resolve())
    const io = testIo({
      cwd: door.directory,
      env: { BELAY_URL: await door.listen(), BELAY_TOKEN: await door.token('operator') },
    })
    await runProgram(['retry', '1'], { ...io, signal: AbortSignal.abort() })
    expect(io.result).toMatchObject({ code: 130, err: expect.stringContaining('`belay show 1`') as string })
  })
})

describe('skip', () => {
  test('of the last blocked undo ends the run rollback_failed, exit 4', async () => {
    blockedAt(['two'], ends('rollback_failed'))
    const { code, out } = await belay('skip', '1', '--reason', 'done by hand')
    expect(code).toBe(4)
    expect(out).toContain('run 1: the undo of "two" is given up (undo two)\n')
    expect(out).toContain('run 1 rollback_failed\n')
    expect(asked).toMatchObject([{ action: 'skip', reason: 'done by hand' }])
  })

  test('of one of several says which is next, and does not wait', async () => {
    blockedAt(['two', 'one'], () => Promise.resolve())
    const { code, out } = await belay('skip', '1', '--reason', 'done by hand')
    expect({ code, out }).toEqual({ code: 4, out: expect.stringContaining('in their turn: one\n') as string })
  })

  test('without a reason is exit 2, and nobody is asked', async () => {
    blockedAt(['two'], () => Promise.resolve())
    const { code, err } = await belay('skip', '1')
    expect({ code, err }).toEqual({ code: 2, err: expect.stringContaining('--reason') as string })
    expect(asked).toEqual([])
  })
})
