/**
 * SIGKILL of each process in turn, at three moments of a release: the run ends right, one run per delivery, and the old
 * or the new release serves throughout.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { isEndedRun } from '../../src/domain/run.ts'
import type { RunDetail } from '../../src/api/run-schemas.ts'
import type { StepChange } from '../../src/domain/run-event.ts'
import { startSystem, type PartName, type System } from '../helpers/system.ts'
import { startTraffic, type TrafficProcess } from '../helpers/traffic-process.ts'
import { until } from '../helpers/until.ts'

const moments = ['in mid-build', 'while the new release is started', 'while it is watched'] as const
type Moment = (typeof moments)[number]

/** The keeper owns the listening socket: its death costs the requests until it is back. */
const keeperSilenceMs = 2_500

let system: System
let version = 1

beforeAll(async () => {
  system = await startSystem()
  await release()
}, 120_000)

afterAll(async () => {
  await system.stop()
}, 60_000)

/** One system for all: whatever was killed before is back, and what dies next dies in a system that has been through that. */
describe.each(['temporal', 'main', 'runner', 'keeper', 'up'] as const)('SIGKILL of %s', (part) => {
  it.each(moments)('%s', { timeout: 180_000 }, async (moment) => {
    version += 1
    const before = await countRuns()
    const traffic = startTraffic(system.edge)
    try {
      const sha = await system.commit(
        { 'version.txt': `${String(version)}\n`, 'behaviour.json': '{ "buildDelayMs": 2000 }\n' },
        `version ${String(version)}`,
      )
      const { id } = await system.push(sha, `version ${String(version)}`)
      await reach(id, moment)
      system.kill(part)
      if (part === 'up') await system.restart()

      const view = await waitForEnd(id)
      expect(view.reason).toBeUndefined()
      expect(view.status).toBe('succeeded')
      expect(finishedTwice(view.steps)).toEqual([])
      expect(await timesBuilt(id)).toBe(1)
      expect(await countRuns()).toBe(before + 1)
      expect(await served()).toBe(String(version))
      await expectServingThroughout(part, traffic)
    } finally {
      traffic.kill()
    }
  })
})

async function release(): Promise<void> {
  const sha = await system.commit({ 'version.txt': `${String(version)}\n` }, `version ${String(version)}`)
  const { id } = await system.push(sha, `version ${String(version)}`)
  const view = await waitForEnd(id)
  expect(view.status).toBe('succeeded')
}

async function reach(runId: string, moment: Moment): Promise<void> {
  await until(`the run is ${moment}`, async () => {
    if (moment === 'in mid-build') return (await system.readLog(runId, 'build')).includes('compiled 3 of 10')
    const phase = moment === 'while it is watched' ? 'verify' : 'stage'
    const { items } = await system.client.listRunEvents({ id: runId }, { limit: 200 })
    return items.some(({ body }) => body.type === 'deployment' && body.phase === phase)
  })
}

async function expectServingThroughout(part: PartName, traffic: TrafficProcess): Promise<void> {
  const counts = await traffic.stop()
  expect(counts.served).toBeGreaterThan(100)
  // But for the keeper's own silence nothing fails.
  expect(counts.failedForMs, counts.failures.join('\n')).toBeLessThanOrEqual(part === 'keeper' ? keeperSilenceMs : 0)
  expect(counts.failed === 0 || part === 'keeper', counts.failures.join('\n')).toBe(true)
}

async function waitForEnd(runId: string): Promise<RunDetail> {
  return until(
    'the run ends',
    async () => {
      const run = await system.client.getRun({ id: runId }).catch(() => undefined) // The server may be the one that was killed.
      return run !== undefined && isEndedRun(run.status) ? run : undefined
    },
    120_000,
  )
}

async function countRuns(): Promise<number> {
  const { items } = await system.client.listRuns({ limit: 200 })
  return items.length
}

async function served(): Promise<string> {
  const response = await fetch(`${system.edge}/stats`)
  return ((await response.json()) as { version: string }).version
}

function finishedTwice(steps: StepChange[]): string[] {
  const good = steps.filter(({ status }) => status === 'succeeded').map(({ step }) => step)
  return good.filter((step, index) => good.indexOf(step) !== index)
}

/** How often the build came to its end, by its own output. */
async function timesBuilt(runId: string): Promise<number> {
  const log = await until('the whole log is there', async () => {
    const text = await system.readLog(runId, 'build')
    return text.includes('dist/ is ready') ? text : undefined
  })
  return log.split('dist/ is ready').length - 1
}
