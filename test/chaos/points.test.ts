import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Client } from '@temporalio/client'
import { afterEach, expect, it, vi } from 'vitest'
import { createControlActivities } from '../../src/activities/control.ts'
import { createDeployerActivities, type DeployerDeps } from '../../src/activities/deployer.ts'
import { createRunnerActivities } from '../../src/activities/runner.ts'
import type { ScriptInput } from '../../src/contract/activities.ts'
import { faultPoints } from './points.ts'
import { smallWorlds } from './invariants/testing.ts'

const top = fileURLToPath(new URL('../..', import.meta.url))
const names = faultPoints.map(({ name }) => name)
const openWorld = smallWorlds()
const ends: (() => void)[] = []

afterEach(() => {
  vi.unstubAllEnvs()
  vi.resetModules()
  for (const end of ends.splice(0)) end()
})

/** Points whose names stand in the source; of one that is put together, what comes before the first part that is not known. */
function pointsInSource(): { whole: string[]; begun: string[] } {
  const sources = ['src', 'workers'].flatMap((room) =>
    readdirSync(join(top, room), { recursive: true, encoding: 'utf8' })
      .filter((file) => /(?<![.]test)[.]tsx?$/.test(file))
      .map((file) => readFileSync(join(top, room, file), 'utf8')),
  )
  const found = (pattern: RegExp) => sources.flatMap((source) => [...source.matchAll(pattern)].flatMap(([, name]) => name ?? []))
  return { whole: found(/\bfaultPoint\('([^']+)'\)/g), begun: found(/\bfaultPoint\(`([^`$]+)\$/g) }
}

const nothingToDeployTo: DeployerDeps = {
  targetOf: () => {
    throw new Error('there is none')
  },
  healthOf: () => ({ http: '/', intervalMs: 1, timeoutMs: 1, healthyAfter: 1, unhealthyAfter: 1 }),
  envOf: () => ({}),
  mask: (_, text) => Promise.resolve(text),
}
const image = { repository: 'shop', digest: `sha256:${'0'.repeat(64)}` }
const release = { id: 'r1', project: 'shop', number: 1, version: '1', image, runId: 'run', sha: 'abc' }
const never = () => Promise.reject(new Error('nothing is carried out here'))

/** Of every worker, as they are registered. */
async function registeredActivities(): Promise<string[]> {
  const { store } = await openWorld()
  const control = createControlActivities({
    store,
    client: new Client(),
    findRules: () => undefined,
    findRepository: () => undefined,
  })
  const deployer = createDeployerActivities(nothingToDeployTo)
  const runner = createRunnerActivities({
    heartbeat: () => Promise.resolve('ours'),
    runner: { openWorkspace: never, runSegment: never, runScript: never, closeWorkspace: never },
  })
  return [control, deployer, runner].flatMap((activities) => Object.keys(activities))
}

/** A runner's script passes the points of its kind. */
const scripts: Record<ScriptInput['script']['type'], true> = { undo: true, finally: true }

it('every activity that a worker registers has its points', async () => {
  const registered = await registeredActivities()
  expect(registered.length).toBeGreaterThan(20)
  const passed = registered.flatMap((name) => (name === 'runScript' ? Object.keys(scripts) : [name]))
  const wanted = passed.flatMap((name) => ['before', 'during', 'after'].map((when) => `activity.${name}.${when}`))
  expect(wanted.filter((name) => !names.includes(name))).toEqual([])
})

it('every point in the source is named, and every name is one of a point in the source', () => {
  const { whole, begun } = pointsInSource()
  expect(whole.length).toBeGreaterThan(30)
  expect(whole.filter((name) => !names.includes(name))).toEqual([])
  expect(begun.filter((start) => !names.some((name) => name.startsWith(start)))).toEqual([])
  expect(names.filter((name) => !whole.includes(name) && !begun.some((start) => name.startsWith(start)))).toEqual([])
})

it.each([
  ['activate', 'd1/activate', 'activate'],
  ['activate', 'd1/undo-activate/2', 'undo-activate'],
  ['migrate', 'd1/migrate-m1', 'migrate'],
  ['migrate', 'd1/migrate-down-m1/1', 'migrate-down'],
] as const)('%s as %s passes the points of %s', async (activity, operationId, point) => {
  const directory = mkdtempSync(join(tmpdir(), 'belay-points-'))
  ends.push(() => rmSync(directory, { recursive: true }))
  vi.stubEnv('BELAY_FAULT_POINTS', directory)
  vi.resetModules()
  const deployer = (await import('../../src/activities/deployer.ts')).createDeployerActivities(nothingToDeployTo)
  writeFileSync(join(directory, `activity.${point}.before`), 'throw')
  const deploy = { health: {}, bakeMs: 0 }
  const input = { environment: 'e', fence: 1, operationId, release, deploy, command: ['true'], timeoutMs: 1 }
  await expect(deployer[activity](input)).rejects.toThrow(`the fault point activity.${point}.before was armed`)
  expect(existsSync(join(directory, `activity.${point}.before`))).toBe(false)
})

it('no point is named twice', () => {
  expect(names).toEqual([...new Set(names)])
})
