/** What an environment serves: rollbacks, late failures, and pushes that overtake each other. */
import { randomUUID } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { RollbackAccepted } from '../../src/api/environment-schemas.ts'
import type { Deployment } from '../../src/domain/environment.ts'
import type { ReleaseRef } from '../../src/domain/release.ts'
import { deploying, loadStepRow, startScenario, type Scenario } from '../helpers/scenario.ts'
import { startTraffic } from '../helpers/traffic-process.ts'
import { until } from '../helpers/until.ts'

let scenario: Scenario

beforeAll(async () => {
  const environments = ['production', 'fresh', 'late', 'order', 'stack', 'overruled']
  scenario = await startScenario({ environments, config: 'runners: { slots: 4 }\n' })
})

afterAll(() => scenario.stop())

async function served(environment: string): Promise<string> {
  const response = await fetch(`${scenario.system.edgeOf(environment)}/version`)
  return response.ok ? await response.text() : String(response.status)
}

async function release(version: string, environment: string): Promise<ReleaseRef> {
  const run = await scenario.run(deploying({ version, environment }))
  expect(run.status, run.reason).toBe('succeeded')
  expect(await served(environment)).toBe(version)
  const { current } = await scenario.system.client.getEnvironment(environment)
  if (current === undefined) throw new Error(`${environment} serves nothing`)
  return current.release
}

async function deploymentsOf(environment: string): Promise<Deployment[]> {
  return (await scenario.system.client.listDeployments(environment)).items
}

/** Asks for a rollback, and waits until it has been carried out. */
async function rollBack(environment: string, to?: string, key: string = randomUUID()): Promise<RollbackAccepted> {
  const accepted = await scenario.system.client.rollback(environment, to === undefined ? {} : { to }, key)
  const ended = await until('the rollback ends', async () =>
    (await deploymentsOf(environment)).find(({ requestId, status }) => requestId === accepted.requestId && status !== 'running'),
  )
  expect(ended).toMatchObject({ kind: 'rollback', status: 'deployed', release: { number: accepted.release } })
  return accepted
}

/** Waits in a step after its deployment until somebody writes `go`; its release is provisional meanwhile. */
function holding(version: string, go: string): string {
  return deploying({
    version,
    environment: 'stack',
    after: `  hold:\n    commands: ["while [ ! -e ${go} ]; do sleep 0.1; done"]\n`,
  })
}

describe('a provisional release', () => {
  const go = (name: string): string => join(scenario.notes, name)

  test('goes on serving when a later one fails before traffic reaches it, and is kept when its run succeeds', async () => {
    await release('base', 'stack')
    const a = await scenario.start(holding('a', go('go-a')))
    await until('a serves', async () => (await served('stack')) === 'a')
    const b = await scenario.run(deploying({ version: 'b', environment: 'stack', entrypoint: '[node, /app/missing.cjs]' }))
    expect(b.status).toBe('rolled_back')
    expect(await served('stack')).toBe('a')
    writeFileSync(go('go-a'), '')
    expect(await scenario.end(a.id)).toMatchObject({ status: 'succeeded' })
    expect(await served('stack')).toBe('a')
  })

  test('that is passed over when a later one is taken back takes its own run back, too', async () => {
    const a = await scenario.start(holding('c', go('go-c')))
    await until('c serves', async () => (await served('stack')) === 'c')
    const failing = deploying({ version: 'd', environment: 'stack', after: '  late:\n    commands: ["exit 1"]\n' })
    expect(await scenario.run(failing)).toMatchObject({ status: 'rolled_back' })
    expect(await served('stack')).toBe('a')
    writeFileSync(go('go-c'), '')
    const run = await scenario.end(a.id)
    expect(run.status).toBe('rolled_back')
    expect(run.reason).toMatch(/went back to release \d+ when a later deployment was taken back/)
    expect(await served('stack')).toBe('a')
  })

  test('that a person has rolled back from is on record as undone, once its run is taken back', async () => {
    const after = `  late:\n    commands: ["while [ ! -e ${go('go-e')} ]; do sleep 0.1; done", "exit 1"]\n`
    const { id } = await scenario.start(deploying({ version: 'e', environment: 'stack', after }))
    await until('e serves', async () => (await served('stack')) === 'e')
    await rollBack('stack')
    expect(await served('stack')).toBe('a')
    writeFileSync(go('go-e'), '')
    expect(await scenario.end(id)).toMatchObject({ status: 'rolled_back' })
    const { history } = await scenario.system.client.getEnvironment('stack')
    expect(history.filter(({ requestId }) => requestId.startsWith(id))).toMatchObject([{ status: 'undone' }])
  })
})

test("a person's rollback that interrupts a bake is not undone by a further attempt of the step", async () => {
  await release('old', 'overruled')
  const newer = await release('newer', 'overruled')
  const after = '    retry: { max: 3, on: [failed, errored], backoff: 100ms }\n'
  const { id } = await scenario.start(deploying({ version: 'watched', environment: 'overruled', bake: '5m', after }))
  await until('it is watched', async () => (await served('overruled')) === 'watched')
  const { client } = scenario.system
  await client.rollback('overruled', { to: String(newer.number), reason: 'it smells' }, randomUUID())
  const run = await scenario.end(id)
  expect(run.status, run.reason).toBe('rolled_back')
  expect(run.steps.filter(({ step }) => step === 'ship')).toMatchObject([
    { attempt: 1, status: 'failed', reason: expect.stringMatching(/a rollback by .* goes first \(it smells\)/) as string },
  ])
  expect(await served('overruled')).toBe('newer')
})

describe('a rollback', () => {
  let one: ReleaseRef
  let two: ReleaseRef
  let three: ReleaseRef

  beforeAll(async () => {
    one = await release('v1', 'production')
    two = await release('v2', 'production')
    three = await release('v3', 'production')
  })

  test('by number, by digest, and to the one before, serves that release again without a failed request', async () => {
    const traffic = startTraffic(`${scenario.system.edge}/version`)
    try {
      expect(await rollBack('production', String(one.number))).toMatchObject({ release: one.number, digest: one.image.digest })
      expect(await served('production')).toBe('v1')
      expect(await rollBack('production', three.image.digest)).toMatchObject({ release: three.number })
      expect(await served('production')).toBe('v3')
      expect(await rollBack('production')).toMatchObject({ release: one.number })
      expect(await served('production')).toBe('v1')
      const counts = await traffic.stop()
      expect(counts.failures).toEqual([])
      expect(Object.keys(counts.versions).toSorted()).toEqual(['v1', 'v3'])
    } finally {
      traffic.kill()
    }
    const { current } = await scenario.system.client.getEnvironment('production')
    expect(current?.release).toEqual(one)
  })

  test('asked for twice with the same key is carried out once, even when another came between', async () => {
    const key = randomUUID()
    const first = await rollBack('production', String(two.number), key)
    await rollBack('production', String(three.number))
    expect(await rollBack('production', String(two.number), key)).toEqual(first)
    expect(await served('production')).toBe('v3')
    expect((await deploymentsOf('production')).filter(({ requestId }) => requestId === first.requestId)).toHaveLength(1)
  })

  test.each([
    ['a number that was never served', '999'],
    ['a digest that was never served', `sha256:${'ab'.repeat(32)}`],
    ['neither', 'main'],
  ])('to %s is refused, and changes nothing', async (_, to) => {
    const before = await scenario.system.client.getEnvironment('production')
    await expect(scenario.system.client.rollback('production', { to })).rejects.toMatchObject({ code: 'not_found' })
    expect(await scenario.system.client.getEnvironment('production')).toEqual(before)
  })

  test('goes before a release that is being watched: that one is taken back, and its run too', async () => {
    const { id } = await scenario.start(deploying({ version: 'watched', bake: '120s' }))
    await until('the new release serves', async () => (await served('production')) === 'watched')
    await rollBack('production', String(one.number))
    expect(await served('production')).toBe('v1')
    expect((await scenario.end(id)).status).toBe('rolled_back')
    expect(await served('production')).toBe('v1')
    const { current, history } = await scenario.system.client.getEnvironment('production')
    expect(current?.release).toEqual(one)
    expect(history.filter(({ requestId }) => requestId.startsWith(id))).toMatchObject([{ status: 'undone' }])
  })

  test('of an environment that has served nothing is refused', async () => {
    await expect(scenario.system.client.rollback('fresh', {})).rejects.toMatchObject({ code: 'not_found' })
    expect((await scenario.system.client.getEnvironment('fresh')).current).toBeUndefined()
  })
})

describe('a release that is no good', () => {
  test('as the first one leaves nothing serving, and says why', async () => {
    const run = await scenario.run(
      deploying({ version: 'bad', environment: 'fresh', entrypoint: '[node, -e, "console.log(`no way`); process.exit(3)"]' }),
    )
    expect(run.status).toBe('rolled_back')
    expect(loadStepRow(run, 'ship')).toMatchObject({
      status: 'failed',
      reason: expect.stringContaining('did not become healthy'),
    })
    expect(await served('fresh')).toBe('503')
    const environment = await scenario.system.client.getEnvironment('fresh')
    expect(environment.current).toBeUndefined()
    expect(environment.history).toEqual([])
    expect(await deploymentsOf('fresh')).toMatchObject([{ kind: 'deploy', status: 'failed' }])
  })

  test('whose run fails after the deployment is taken back, without a failed request, and was never kept', async () => {
    const old = await release('old', 'late')
    const traffic = startTraffic(`${scenario.system.edgeOf('late')}/version`)
    try {
      const { id } = await scenario.start(
        deploying({
          version: 'new',
          environment: 'late',
          after: `  accept: { commands: ['while [ ! -f NOTES/accept ]; do sleep 0.1; done', exit 1] }\n`,
        }),
      )
      await until('the acceptance begins', async () =>
        (await scenario.system.client.getRun({ id })).steps.some(({ step, status }) => step === 'accept' && status === 'running'),
      )
      expect(await served('late')).toBe('new')
      expect((await scenario.system.client.getEnvironment('late')).history.at(-1)?.status).toBe('provisional')
      writeFileSync(join(scenario.notes, 'accept'), '')
      const run = await scenario.end(id)
      expect(run.status).toBe('rolled_back')
      expect(loadStepRow(run, 'ship').status).toBe('succeeded')
      expect(await served('late')).toBe('old')
      const counts = await traffic.stop()
      expect(counts.failures).toEqual([])
      expect(Object.keys(counts.versions).toSorted()).toEqual(['new', 'old'])
    } finally {
      traffic.kill()
    }
    const environment = await scenario.system.client.getEnvironment('late')
    expect(environment.current?.release).toEqual(old)
    expect(environment.history.map(({ release: { version }, status }) => `${version} ${status}`)).toEqual([
      `${old.version} kept`,
      expect.stringMatching(/ undone$/),
    ])
  })
})

describe('two runs at one environment', () => {
  /** Waits for a note of its own before it packs its image. */
  const held = (version: string, note: string) =>
    deploying({
      version,
      environment: 'order',
      before: `  hold: { commands: ['while [ ! -f NOTES/${note} ]; do sleep 0.1; done'] }\n`,
    })

  test('pushed right after each other, the newer one is served in the end, and the older never after it', async () => {
    const branch = 'in-order'
    const older = await scenario.start(deploying({ version: 'older', environment: 'order', bake: '1s' }), { branch })
    const newer = await scenario.start(deploying({ version: 'newer', environment: 'order', bake: '1s' }), { branch })
    const runs = [await scenario.end(older.id), await scenario.end(newer.id)]
    expect(runs.map(({ status }) => status)).toEqual(['succeeded', 'succeeded'])
    expect(await served('order')).toBe('newer')
    const switched = (await deploymentsOf('order')).filter(({ activatedAt }) => activatedAt !== undefined)
    const order = switched.toSorted((a, b) => (a.activatedAt ?? 0) - (b.activatedAt ?? 0)).map(({ runId }) => runId)
    expect(order.at(-1)).toBe(newer.id)
    expect(switched.map(({ kind }) => kind)).not.toContain('undo')
  })

  test('when the newer one overtakes, the older one is left out and says why, and the newer one goes on serving', async () => {
    const branch = 'overtaken'
    const older = await scenario.start(held('slow', 'slow'), { branch })
    const newer = await scenario.run(deploying({ version: 'quick', environment: 'order' }), { branch })
    expect(newer.status).toBe('succeeded')
    writeFileSync(join(scenario.notes, 'slow'), '')
    const run = await scenario.end(older.id)
    expect(loadStepRow(run, 'ship')).toMatchObject({ status: 'skipped', reason: expect.stringContaining('newer push') })
    expect(await served('order')).toBe('quick')
    expect((await deploymentsOf('order')).filter(({ runId }) => runId === older.id)).toEqual([])
  })

  test('on another branch neither is newer: both are deployed, in the order in which they ask', async () => {
    const older = await scenario.start(held('other-branch', 'other-branch'), { branch: 'hotfix' })
    expect((await scenario.run(deploying({ version: 'mainline', environment: 'order' }))).status).toBe('succeeded')
    writeFileSync(join(scenario.notes, 'other-branch'), '')
    expect((await scenario.end(older.id)).status).toBe('succeeded')
    expect(await served('order')).toBe('other-branch')
  })

  test('a late failure of the one below takes nothing from the one above; one of the one above goes back to what is kept', async () => {
    const base = await release('base', 'stack')
    const waiting = (version: string) =>
      deploying({
        version,
        environment: 'stack',
        after: `  accept: { commands: ['while [ ! -f NOTES/${version} ]; do sleep 0.1; done', exit 1] }\n`,
      })
    const below = await scenario.start(waiting('below'))
    await until('below serves', async () => (await served('stack')) === 'below')
    const above = await scenario.start(waiting('above'))
    await until('above serves', async () => (await served('stack')) === 'above')

    writeFileSync(join(scenario.notes, 'below'), '')
    expect((await scenario.end(below.id)).status).toBe('rolled_back')
    expect(await served('stack')).toBe('above')

    writeFileSync(join(scenario.notes, 'above'), '')
    expect((await scenario.end(above.id)).status).toBe('rolled_back')
    expect(await served('stack')).toBe('base')
    expect((await scenario.system.client.getEnvironment('stack')).current?.release).toEqual(base)
  })
})
