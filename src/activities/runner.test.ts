import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { asyncLocalStorage, type Context } from '@temporalio/activity'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { SegmentInput } from '../contract/activities.ts'
import { whenStopped } from '../runner/stop.ts'

let directory: string
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'belay-points-'))
})
afterEach(() => {
  vi.unstubAllEnvs()
  rmSync(directory, { recursive: true, force: true })
})

/** As much of an activity's context as the runner's activities ask for. */
const context = {
  info: { base64TaskToken: 'dG9rZW4=' },
  cancellationSignal: new AbortController().signal,
  heartbeat: () => undefined,
} as unknown as Context

it('stops the work whose answer is lost while it goes on, and waits for its end', async () => {
  vi.stubEnv('BELAY_FAULT_POINTS', directory)
  vi.resetModules()
  const { createRunnerActivities } = await import('./runner.ts')
  writeFileSync(join(directory, 'activity.runSegment.during'), 'throw')
  let ended = false
  const unused = () => Promise.reject(new Error('is not asked for'))
  const activities = createRunnerActivities({
    heartbeat: () => Promise.resolve('ours'),
    runner: {
      ...{ openWorkspace: unused, runScript: unused, closeWorkspace: unused },
      async runSegment(_input, task) {
        await whenStopped(task.signal)
        ended = true
        throw new Error('stopped')
      },
    },
  })
  const input = {} as Parameters<typeof activities.runSegment>[0]
  const running = asyncLocalStorage.run(context, async () => await activities.runSegment(input))
  await expect(running).rejects.toThrow(/activity\.runSegment\.during was armed/)
  expect(ended).toBe(true)
})

describe('whether the work is still ours', () => {
  /** What a runner of an activity that was sent so long ago is told, and what Temporal was asked for that. */
  async function confirmed(
    sentMsAgo: number,
    answers: readonly ('ours' | 'gone' | 'away')[],
    signal = new AbortController().signal,
  ) {
    const { createRunnerActivities } = await import('./runner.ts')
    const asked: unknown[] = []
    const unused = () => Promise.reject(new Error('is not asked for'))
    const told: boolean[] = []
    const activities = createRunnerActivities({
      heartbeat(token, details) {
        const answer = answers[asked.length]
        asked.push([Buffer.from(token).toString(), details])
        return answer === 'ours' || answer === 'gone' ? Promise.resolve(answer) : Promise.reject(new Error('nobody there'))
      },
      runner: {
        ...{ openWorkspace: unused, runScript: unused, closeWorkspace: unused },
        async runSegment(_input, task) {
          task.progress('so far')
          told.push(await task.confirm(task.signal), await task.confirm(task.signal))
          return { outcomes: [], ended: 'complete' }
        },
      },
    })
    const info = { taskToken: Buffer.from('token'), currentAttemptScheduledTimestampMs: Date.now() - sentMsAgo }
    const { info: known, ...rest } = context
    const within = { ...rest, cancellationSignal: signal, info: { ...known, ...info } } as unknown as Context
    await asyncLocalStorage.run(within, async () => await activities.runSegment({} as SegmentInput))
    return { told, asked }
  }

  it('is taken for granted of what was sent just now', async () => {
    expect(await confirmed(100, [])).toEqual({ told: [true, true], asked: [] })
  })

  it.each([10_000, -10_000])(
    'is asked of Temporal if it was sent %d ms ago, once for a while, with what is known so far',
    async (ms) => {
      expect(await confirmed(ms, ['ours'])).toEqual({ told: [true, true], asked: [['token', 'so far']] })
    },
  )

  it('is no once Temporal says so', async () => {
    expect((await confirmed(10_000, ['gone', 'gone'])).told).toEqual([false, false])
  })

  it('is asked again for as long as Temporal is away, and not answered once the work is stopped', async () => {
    expect((await confirmed(10_000, ['away', 'away', 'ours'])).asked).toHaveLength(3)
    const stopping = new AbortController()
    const asking = confirmed(10_000, [], stopping.signal)
    stopping.abort()
    expect((await asking).told).toEqual([false, false])
  })
})
