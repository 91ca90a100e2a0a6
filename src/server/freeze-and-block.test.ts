// Long because each thing that a person can ask, and each refusal, is one test against the same environments.
/** What people ask of an environment, with a real Temporal and control; nobody deploys, so what begins stays under way. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openControlledDoor, type ControlledDoor } from '../../test/helpers/controlled-door.ts'
import { makeProject, startPlannedRun, type FrontDoor } from '../../test/helpers/front-door.ts'
import { until } from '../../test/helpers/until.ts'
import type { Client } from '../api/client.ts'
import type { EnvironmentConfig } from '../config/config.ts'
import { environmentSignal, environmentStateQuery } from '../contract/environment-workflow.ts'
import { environmentWorkflowId } from '../contract/workflow-ids.ts'
import { emptyEnvironment } from '../domain/environment-rules.ts'
import type { DeployRequest, EnvironmentState } from '../domain/environment.ts'
import { messageOf } from '../domain/errors.ts'
import { ReleaseRef } from '../domain/release.ts'

const names = [
  ...(['waits', 'refuses', 'forced', 'lost', 'blocks', 'queued', 'back', 'limits', 'preview', 'timed'] as const),
  ...(['migrated', 'oneway', 'fork'] as const),
]
type Name = (typeof names)[number]

let controlled: ControlledDoor
let door: FrontDoor
let client: Client
let releases: ReleaseRef[]

beforeAll(async () => {
  const health = { http: '/healthz', intervalMs: 1000, healthyAfter: 1, unhealthyAfter: 3, timeoutMs: 60_000 }
  const environment = (name: string, index: number): EnvironmentConfig => ({
    name,
    target: 'process',
    edge: { driver: 'embedded', host: '127.0.0.1', port: 9080 + index },
    health,
    env: { LEVEL: { value: 'info' }, KEY: { secret: 'key' }, NEW: { value: 'yes' } },
  })
  controlled = await openControlledDoor({
    projects: { shop: makeProject({ environments: [...names] }) },
    environments: Object.fromEntries(names.map((name, index) => [name, environment(name, index)])),
  })
  door = controlled.door
  client = await door.client('operator')
  releases = []
  for (const letter of ['a', 'b', 'c']) {
    const run = await startPlannedRun(door.store)
    const image = { repository: 'shop/app', digest: `sha256:${letter.repeat(64)}` }
    const made = { project: 'shop', sha: letter.repeat(40), image, runId: run.id, artifacts: [], step: 'release' }
    releases.push(ReleaseRef.parse(await door.store.releases.create(made)))
  }
}, 300_000)

afterAll(() => controlled.close())

function release(number: number): ReleaseRef {
  const found = releases[number - 1]
  if (found === undefined) throw new Error(`no release ${String(number)}`)
  return found
}

/** A run of no workflow: its answers are read from the environment's state. */
function request(environment: Name, number: number): DeployRequest {
  const runId = crypto.randomUUID()
  return {
    ...{ id: `${runId}/ship/${environment}/1`, runId, step: 'ship', release: release(number) },
    deploy: { environment, strategy: 'blue_green', health: {}, bakeMs: 0 },
    ...{ ref: `refs/heads/${runId}`, sequence: 1, forced: false },
  }
}

async function send(environment: Name, wanted: DeployRequest): Promise<void> {
  await controlled.temporal.workflow.signalWithStart('environment', {
    ...{ taskQueue: 'control', workflowId: environmentWorkflowId(environment), args: [{ name: environment }] },
    ...{ signal: environmentSignal, signalArgs: [{ type: 'deploy', request: wanted }] as const, workflowTaskTimeout: '5s' },
  })
}

function stateOf(environment: Name): Promise<EnvironmentState> {
  return controlled.temporal.workflow.getHandle(environmentWorkflowId(environment)).query(environmentStateQuery)
}

async function recorded(environment: Name): Promise<EnvironmentState | undefined> {
  return (await door.store.environments.load(environment)).state
}

async function terminate(environment: Name): Promise<void> {
  await controlled.temporal.workflow.getHandle(environmentWorkflowId(environment)).terminate('from outside')
}

/** It has served these, all kept; nothing serves now unless said, so that no deployer is asked at the start. */
function servedBefore(name: Name, numbers: readonly number[]): EnvironmentState {
  const history = numbers.map((number) => ({
    ...{ release: release(number), deploymentId: `d${String(number)}`, requestId: `q${String(number)}` },
    ...{ status: 'kept' as const, at: number },
  }))
  return { ...emptyEnvironment(name, 1), history }
}

/** It has served releases 1 to 3, of which 2 and 3 brought a migration: `on` which one it was applied, and whether there is a way back. */
function migratedBefore(name: Name, second: Brought, third: Brought): EnvironmentState {
  const state = servedBefore(name, [1, 2, 3])
  const migrations = [second, third].map(({ on, oneWay }, index) => {
    const number = index + 2
    const down = ['migrate', 'down', `to ${String(number - 1)}`]
    return {
      ...{
        id: `m${String(number)}`,
        release: release(number),
        requestId: `q${String(number)}`,
        up: ['migrate', 'up'],
        timeoutMs: 1,
      },
      ...(on === undefined ? {} : { on }),
      ...(oneWay === true ? {} : { down }),
    }
  })
  const history = state.history.map((served, index) => (index === 0 ? served : { ...served, level: `m${String(index + 1)}` }))
  return { ...state, history, migrations }
}

interface Brought {
  on?: string
  oneWay?: true
}

describe('an environment that is frozen', () => {
  test("has runs' deployments wait with the reason, recorded, until the window is lifted", async () => {
    const { freeze, frozen } = await client.freeze('waits', { for: '8h', reason: 'the party' }, 'key')
    expect(frozen?.reason).toMatch(new RegExp(`^frozen until .* UTC \\(${freeze.id} by operator: the party\\)$`))
    expect(await client.freeze('waits', { for: '8h', reason: 'the party' }, 'key')).toMatchObject({ freeze: { id: freeze.id } })
    const [first, second] = [request('waits', 1), request('waits', 2)]
    await send('waits', first)
    await send('waits', second)
    const held = await until('both are held in the store', async () => {
      const state = await recorded('waits')
      return state?.held !== undefined && state.queue.length === 2 ? state : undefined
    })
    expect(held.queue.map(({ id }) => id)).toEqual([first.id, second.id])
    expect(held.held?.reason).toBe(frozen?.reason)
    expect(await client.getEnvironment('waits')).toMatchObject({ queued: 2, frozen, freezes: [{ id: freeze.id }] })

    expect(await client.unfreeze('waits', { freeze: freeze.id })).not.toHaveProperty('frozen')
    // Their runs are not there: what went on says so, in order.
    const state = await until('both have had their turn', async () => {
      const now = await stateOf('waits')
      return now.queue.length === 0 && now.answers.length === 3 ? now : undefined
    })
    expect(state.answers.slice(1).map(({ requestId, reason }) => [requestId, reason])).toEqual([
      [first.id, 'its run has ended'],
      [second.id, 'its run has ended'],
    ])
    expect(state).not.toHaveProperty('held')
    expect(await door.audited()).toMatchObject([
      { action: 'environment.unfreeze', subject: 'waits' },
      { action: 'environment.freeze', data: { freeze: freeze.id, for: '8h', reason: 'the party' } },
      { action: 'environment.freeze' },
    ])
  })

  test('by a window that ends by itself goes on then', async () => {
    const ends = new Date(Date.now() + 4_000).toISOString().replace(/[.]\d+Z$/, 'Z')
    await client.freeze('timed', { until: ends })
    const wanted = request('timed', 1)
    await send('timed', wanted)
    await until('it has had its turn', async () =>
      (await stateOf('timed')).answers.some(({ requestId }) => requestId === wanted.id),
    )
    expect(Date.now()).toBeGreaterThanOrEqual(Date.parse(ends))
  })

  test("refuses a person's deployment, and takes it forced, with a reason, past what waits", async () => {
    await client.freeze('forced', { for: '8h' })
    await send('forced', request('forced', 2))
    await until('it is held', async () => (await stateOf('forced')).held)
    await expect(client.deploy('forced', { release: '1' })).rejects.toMatchObject({
      code: 'refused',
      message: expect.stringMatching(/^forced is frozen until /),
      hint: expect.stringContaining('--force'),
    })
    await expect(client.deploy('forced', { release: '1', force: true })).rejects.toMatchObject({ code: 'invalid_input' })
    const accepted = await client.deploy('forced', { release: '1', force: true, reason: 'it burns' })
    const active = await until('it is under way', async () => (await recorded('forced'))?.active)
    expect(active).toMatchObject({ requestId: accepted.requestId, release: { number: 1 }, reason: 'it burns' })
    expect((await stateOf('forced')).queue).toHaveLength(1)
    expect((await door.audited())[0]).toMatchObject({ action: 'environment.deploy', data: { force: true, reason: 'it burns' } })
    // And what is under way is told to whoever freezes.
    expect(await client.freeze('forced', { for: '1h' })).toMatchObject({ active: { number: 1 } })
  })

  test('lets a rollback through', async () => {
    await door.store.environments.record(servedBefore('back', [1]))
    await client.freeze('back', { for: '8h' })
    const { requestId } = await client.rollback('back', { to: '1' })
    const active = await until('it is under way', async () => (await recorded('back'))?.active)
    expect(active).toMatchObject({ kind: 'rollback', requestId })
  })
})

describe('a blocked release', () => {
  test('is refused to runs, to people and on the way back, until it is unblocked', async () => {
    await door.store.environments.record(servedBefore('blocks', [1, 2]))
    expect(await client.block('blocks', { release: '2', reason: 'leaks' })).toMatchObject({ serves: false, deploys: false })
    const message = 'release 2 is blocked in blocks by operator: leaks'
    await expect(client.deploy('blocks', { release: '2' })).rejects.toMatchObject({ code: 'refused', message })
    await expect(client.rollback('blocks', { to: '2' })).rejects.toMatchObject({
      ...{ code: 'refused', message },
      hint: expect.stringContaining('belay unblock blocks 2'),
    })
    const wanted = request('blocks', 2)
    await send('blocks', wanted)
    const answered = await until('the run is refused', async () =>
      (await stateOf('blocks')).answers.find(({ requestId }) => requestId === wanted.id),
    )
    expect(answered).toMatchObject({ status: 'failed', fault: 'failed', reason: message })
    expect((await client.getEnvironment('blocks')).blocked).toMatchObject([{ release: { number: 2 }, reason: 'leaks' }])
    await expect(client.previewRollback('blocks', { to: '2' })).rejects.toMatchObject({ code: 'refused', message })

    expect(await client.unblock('blocks', { release: '2' })).not.toHaveProperty('still')
    expect(await client.rollback('blocks', { to: '2' })).toMatchObject({ release: 2 })
  })

  test('that waits in the queue is refused there and then; a rollback with nowhere to go refuses all of it', async () => {
    await client.freeze('queued', { for: '8h' })
    const wanted = request('queued', 3)
    await send('queued', wanted)
    await until('it is held', async () => (await stateOf('queued')).held)
    expect(await client.block('queued', { release: '3' })).toMatchObject({ refused: [wanted.id] })
    expect((await recorded('queued'))?.queue).toEqual([])
    const { current, ...rest } = servedBefore('refuses', [1])
    expect(current).toBeUndefined()
    await door.store.environments.record(rest)
    // It serves nothing, so that there is nothing to take away.
    expect(await client.block('refuses', { release: '1', rollback: true })).toMatchObject({ serves: false })
  })
})

describe('terminated right after its answer, the next one knows', () => {
  test('windows, blocked releases and what was queued', async () => {
    const { freeze } = await client.freeze('lost', { for: '8h' })
    await client.block('lost', { release: '3' })
    await terminate('lost')
    const wanted = request('lost', 1)
    await send('lost', wanted)
    await until('it is held in the store', async () => (await recorded('lost'))?.held)
    await terminate('lost')
    await controlled.restartControl()
    // The next request starts it again.
    await expect(client.deploy('lost', { release: '3' })).rejects.toMatchObject({ code: 'refused' })
    const state = await stateOf('lost')
    expect(state.freezes?.map(({ id }) => id)).toEqual([freeze.id])
    expect(state.blocked?.map((block) => block.release.number)).toEqual([3])
    expect(state.queue.map(({ id }) => id)).toEqual([wanted.id])
  })

  test("a person's deployment", async () => {
    const accepted = await client.deploy('limits', { release: '1' })
    const { rollbacks = [], active } = (await recorded('limits')) ?? {}
    expect([...rollbacks.map(({ id }) => id), active?.requestId]).toContain(accepted.requestId)
  })
})

describe('a window that makes no sense is refused, and nobody is asked:', () => {
  test.each([
    ['no end', {}, 'a freeze needs an end'],
    ['two ends', { for: '1h', until: '2099-01-01T00:00Z' }, 'a freeze needs an end'],
    ['an end without a zone', { until: '2099-01-01T00:00' }, 'is a time of which time zone'],
    ['a length that is none', { for: 'ever' }, 'is not a time that a freeze may last'],
    ['longer than a month', { for: '32d' }, 'is not a time that a freeze may last'],
    ['cron without a length', { cron: '0 18 * * 5', time_zone: 'UTC' }, 'lasts for how long'],
    ['cron without a zone', { cron: '0 18 * * 5', for: '62h' }, 'the clock of which time zone'],
    ['cron with an end', { cron: '0 18 * * 5', for: '62h', until: '2099-01-01T00:00Z' }, 'no `until`'],
    ['cron that never ends', { cron: '0 0 * * *', for: '24h', time_zone: 'UTC' }, 'never ends'],
  ])('%s', async (_, body, message) => {
    const before = (await door.audited()).length
    await expect(client.freeze('limits', body)).rejects.toMatchObject({
      ...{ code: 'invalid_input', message: expect.stringContaining(message), hint: expect.any(String) },
    })
    expect(await door.audited()).toHaveLength(before)
  })
})

describe('the preview of a rollback', () => {
  test('says what would come, from where, with which variables, and past what; and changes nothing', async () => {
    const provisional = { status: 'provisional' as const, deploymentId: 'd3', requestId: 'q3', release: release(3), at: 3 }
    const before = servedBefore('preview', [1, 2])
    const given = { [release(3).image.digest]: { LEVEL: { value: 'debug' }, KEY: { secret: 'old_key' }, OLD: { value: 'no' } } }
    const queue = [request('preview', 2)]
    const state = { ...before, history: [...before.history, provisional], current: { release: release(3), deploymentId: 'd3' } }
    await door.store.environments.record({ ...state, given, queue })
    expect(await client.previewRollback('preview')).toEqual({
      environment: 'preview',
      from: release(3),
      to: release(2),
      servedAt: 2,
      start: 'cold',
      variables: [
        { name: 'KEY', from: { secret: 'old_key' }, to: { secret: 'key' } },
        { name: 'LEVEL', from: { value: 'debug' }, to: { value: 'info' } },
        { name: 'NEW', to: { value: 'yes' } },
        { name: 'OLD', from: { value: 'no' } },
      ],
      migrations: [],
      queue: [{ release: release(2), runId: queue[0]?.runId }],
      provisional: [provisional],
    })
    expect(await client.previewRollback('preview', { to: '3' })).toMatchObject({ start: 'serves' })
    await expect(client.previewRollback('preview', { to: '9' })).rejects.toMatchObject({
      ...{ code: 'not_found', hint: 'It has served the releases 1, 2, 3.' },
    })
    expect(await recorded('preview')).toEqual({ ...state, given, queue })
    expect((await door.audited()).filter(({ subject }) => subject === 'preview')).toEqual([])
  })

  test('tells what would run for its data: what was applied since is taken down, the newest first; forward it is applied again', async () => {
    const state = migratedBefore('migrated', {}, { on: 'm2' })
    await door.store.environments.record({ ...state, level: 'm3' })
    expect(await client.previewRollback('migrated', { to: '1' })).toMatchObject({
      migrations: ['down of release 3: migrate down "to 2"', 'down of release 2: migrate down "to 1"'],
    })
    expect(await client.previewRollback('migrated', { to: '3' })).toMatchObject({ migrations: [] })
    await door.store.environments.record({ ...state, revision: 1 })
    expect(await client.previewRollback('migrated', { to: '3' })).toMatchObject({
      migrations: ['up of release 2: migrate up', 'up of release 3: migrate up'],
    })
  })

  test.each([
    ['oneway', '1', 'refused', { oneWay: true }, { on: 'm2' }],
    ['fork', '2', 'not_yet', {}, {}],
  ] as const)('past the data of %s to release %s is %s, as the rollback itself is', async (name, to, code, second, third) => {
    await door.store.environments.record({ ...migratedBefore(name, second, third), level: 'm3' })
    const refused: unknown = await client.rollback(name, { to }, crypto.randomUUID()).catch((error: unknown) => error)
    expect(refused).toMatchObject({ code, message: expect.stringContaining(`${name} cannot go to release ${to}`) as string })
    await expect(client.previewRollback(name, { to })).rejects.toMatchObject({ code, message: messageOf(refused) })
  })
})
