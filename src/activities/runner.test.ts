import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { asyncLocalStorage, type Context } from '@temporalio/activity'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
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
