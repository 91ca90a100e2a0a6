// Long because every word about what serves is made up here, and contradicted, one by one.
import { createServer, type Server } from 'node:http'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import type { Deployment, EnvironmentState, Served } from '../../../src/domain/environment.ts'
import { emptyEnvironment } from '../../../src/domain/environment-rules.ts'
import type { ReleaseRef } from '../../../src/domain/release.ts'
import type { RunEnd } from '../../../src/domain/run.ts'
import type { EnvironmentRecord } from '../../../src/embedded/keeper/keeper-state.ts'
import type { Run } from '../../../src/store/store.ts'
import { makeReleaseRef } from '../../contracts/store/samples.ts'
import { planOf } from '../../../src/runner/testing/plan.ts'
import type { PlanStep } from '../../../src/domain/plan.ts'
import type { EnvironmentMemory, Memory } from '../memory.ts'
import { oneIntendedRelease } from './one-intended-release.ts'
import { linesOf, smallWorlds, type SmallWorld } from './testing.ts'

const openWorld = smallWorlds()
const name = 'production'
const edges: Server[] = []

afterEach(async () => {
  for (const edge of edges.splice(0)) await new Promise((resolve) => edge.close(resolve))
})

describe('nothing to say of', () => {
  it('an environment that serves the newest kept release, by the word of all four', async () => {
    const { small, memory } = await good()
    const finding = oneIntendedRelease({ ...(await small.remember()), environments: [memory] })
    expect(linesOf(finding.violations)).toEqual([])
    expect(finding.looked).toEqual({ I3: 3, 'I3 environments': 1, 'I3 deployments': 2, 'I3 migrations': 0 })
  })

  it('an environment to which nothing was ever deployed', async () => {
    const small = await openWorld()
    small.world.environments = [{ name, url: await serveEdge('', 503) }]
    expect(linesOf(oneIntendedRelease(await small.remember()).violations)).toEqual([])
  })

  it('an older release, where a person has blocked the newer one; and a blocked one that served already', async () => {
    const { small, memory } = await good()
    const [older, newer] = memory.recorded?.history ?? []
    if (older === undefined || newer === undefined) throw new Error('nothing was served')
    const blocked = [{ release: newer.release, actor: { id: 'token:a', name: 'a' }, at: 1 }]
    const digest = older.release.image.digest
    const served = withKeeper(withState(withCurrent(memory, older), { blocked }), { active: digest, instances: [] })
    expect((await judge(small, served)).filter((line) => line.includes('newest kept'))).toEqual([])
    expect(await judge(small, withState(memory, { blocked }))).toEqual([])
  })

  it('a release of a failed run that a person has put back, and one of a run that could not be taken back', async () => {
    const { small, memory } = await good('failed')
    const byPerson = { ...memory.deployments.at(-1), runId: undefined, actor: { id: 'token:a', name: 'a' } } as Deployment
    const put = { ...memory, deployments: [...memory.deployments.slice(0, -1), byPerson] }
    expect(await judge(small, put)).toEqual([])
    const stuck = await good('rollback_failed')
    const history =
      stuck.memory.recorded?.history.map((served) => ({
        ...served,
        status: served.requestId === 'r2' ? ('undone' as const) : served.status,
      })) ?? []
    expect(await judge(stuck.small, withState(stuck.memory, { history }))).toEqual([])
  })
})

describe('says that', () => {
  it('two deployments overlap', async () => {
    const { small, memory } = await good()
    const [first, second] = memory.deployments
    const deployments = [{ ...first, endedAt: Number(second?.startedAt) + 1 } as Deployment, second as Deployment]
    expect((await judge(small, { ...memory, deployments })).join()).toContain('deployments overlap: deploy d1')
  })

  it('a deployment has not ended, by its row or by the state', async () => {
    const { small, memory } = await good()
    const { endedAt: _endedAt, ...open } = memory.deployments.at(-1) as Deployment
    const deployments = [...memory.deployments.slice(0, -1), { ...open, status: 'running' as const }]
    const said = await judge(small, { ...withState(memory, { active: { ...open, status: 'running' } }), deployments })
    expect(said.join('\n')).toMatch(
      /a deployment has not ended: deploy d2 \(running.*\n.*its state has a deployment in progress: deploy d2/,
    )
  })

  it.each<[string, (memory: EnvironmentMemory) => EnvironmentMemory, string]>([
    [
      'the keeper serves another release',
      (memory) => withKeeper(memory, { active: 'sha256:other' }),
      'the keeper serves sha256:other, and the state says sha256:',
    ],
    ['the keeper serves nothing', ({ keeper: _keeper, ...rest }) => rest, 'the keeper serves undefined, and the state says'],
    [
      'the edge is silent',
      (memory) => ({ ...memory, edge: { silent: 'fetch failed' } }),
      'its edge does not serve: fetch failed',
    ],
    [
      'the edge answers 503',
      (memory) => ({ ...memory, edge: { said: { status: 503, instance: '' } } }),
      'its edge does not serve: 503',
    ],
    [
      'another instance answers',
      (memory) => ({ ...memory, edge: { said: { status: 200, instance: 'stranger' } } }),
      'its edge serves undefined (200 from instance "stranger")',
    ],
    [
      'its workflow does not answer',
      (memory) => ({ ...memory, owner: { silent: 'no worker' } }),
      'its workflow does not answer: no worker',
    ],
    [
      'its workflow says something else',
      (memory) => ({ ...memory, owner: { said: emptyEnvironment(name, 9) } }),
      'its workflow says nothing is current, and the store release 2',
    ],
    [
      'its workflow has more to do',
      (memory) => ({ ...memory, owner: { said: { ...(memory.recorded as EnvironmentState), undos: ['x'] } } }),
      'its workflow still has 1 requests',
    ],
    [
      'an older release serves than the newest that is kept',
      (memory) => withCurrent(memory, memory.recorded?.history[0]),
      'release 1 (d1) is current, and the newest kept one is 2 (d2)',
    ],
    [
      'what serves was taken back',
      (memory) =>
        withState(memory, {
          history: (memory.recorded?.history ?? []).map((served, index) =>
            index === 1 ? { ...served, status: 'undone' } : served,
          ),
        }),
      'release 2 (d2) is current, and the newest kept one is 1 (d1)',
    ],
  ])('%s', async (_, change, facts) => {
    const { small, memory } = await good()
    expect((await judge(small, change(memory))).join('\n')).toContain(facts)
  })

  it.each<RunEnd>(['failed', 'errored', 'cancelled', 'rolled_back'])('the release of a run that ended %s serves', async (end) => {
    const { small, memory, second } = await good(end)
    expect(await judge(small, memory)).toEqual([
      `I3 environment production: serves release 2, whose run ${second.id} ended ${end}`,
    ])
  })

  it('something is served where nothing is deployed', async () => {
    const small = await openWorld()
    small.world.environments = [{ name, url: await serveEdge('stranger', 200) }]
    expect(linesOf(oneIntendedRelease(await small.remember()).violations)).toEqual([
      'I3 environment production: nothing is deployed, and its edge serves',
    ])
  })
})

describe('after a block was lifted', () => {
  it('an older release may serve than the newest kept one, and none that nobody had blocked', async () => {
    const { small, memory } = await good()
    const [older, newer] = memory.recorded?.history ?? []
    const back = withKeeper(withCurrent(memory, older), { active: older?.release.image.digest ?? '', instances: [] })
    const newest = async () => (await judge(small, back)).filter((line) => line.includes('newest kept'))
    expect(await newest()).toHaveLength(1)
    const release = newer?.release.id ?? ''
    small.ledger.requests.push({ at: 1, kind: 'block', environment: 'elsewhere', release })
    expect(await newest()).toHaveLength(1)
    small.ledger.requests.push({ at: 1, kind: 'block', environment: name, release })
    expect(await newest()).toEqual([])
  })
})

describe('migrations', () => {
  const both = [migrationOf('m1', '7'), migrationOf('m2', '8', 'm1')]

  it('are right where schema, record and release that serves say the same', async () => {
    const { small, memory } = await good()
    applied(small, ['7', '8'])
    expect(await judge(small, withLevel(memory, both, { level: 'm2', served: 'm2' }))).toEqual([])
    applied(small, ['7'])
    expect(await judge(small, withLevel(memory, both, { level: 'm1', served: 'm1' }))).toEqual([])
    // The second `up` of a version finds it applied.
    const twice = [...both, migrationOf('m3', '8', 'm2')]
    applied(small, ['7', '8'])
    expect(await judge(small, withLevel(memory, twice, { level: 'm3', served: 'm3' }))).toEqual([])
  })

  it.each<[string, string[], { level?: string; served?: string }, string]>([
    ['that was not taken down', ['7', '8'], { level: 'm1', served: 'm1' }, 'its schema has [7, 8], and the state says [7]'],
    ['that was not applied', ['7'], { level: 'm2', served: 'm2' }, 'its schema has [7], and the state says [7, 8]'],
    ['in the wrong order', ['8', '7'], { level: 'm2', served: 'm2' }, 'its schema has [8, 7], and the state says [7, 8]'],
    ['that what serves needs', ['7'], { level: 'm1', served: 'm2' }, 'release 2 serves on [7, 8], and the state says [7]'],
    ['that what serves knows nothing of', ['7'], { level: 'm1' }, 'release 2 serves on [], and the state says [7]'],
  ])('says that there is one %s', async (_, schema, levels, facts) => {
    const { small, memory } = await good()
    applied(small, schema)
    expect(await judge(small, withLevel(memory, both, levels))).toEqual([`I3 environment production: ${facts}`])
    const release = memory.recorded?.current?.release as ReleaseRef
    const stuck = withState(withLevel(memory, both, levels), {
      stuck: [{ requestId: 'r2', release, untouched: false, tries: 1 }],
    })
    expect(await judge(small, stuck)).toEqual([])
  })

  it('says that some are left where nothing serves', async () => {
    const { small, memory } = await good()
    applied(small, ['7'])
    const { recorded, keeper: _keeper, ...rest } = withLevel(memory, both, { level: 'm1' })
    const { current: _current, ...state } = { ...recorded, history: [] } as EnvironmentState
    const empty = { ...rest, recorded: state, owner: { said: state }, edge: { said: { status: 503, instance: '' } } }
    expect(await judge(small, empty)).toEqual(['I3 environment production: nothing serves, and its migrations [7] are applied'])
  })
})

describe('what one run has deployed', () => {
  it.each<[RunEnd, Record<string, Served['status'] | undefined>, string]>([
    ['succeeded', { east: 'kept', west: 'kept' }, ''],
    ['rolled_back', { east: 'undone', west: undefined }, ''],
    ['failed', { east: 'undone', west: 'undone' }, ''],
    ['rollback_failed', { east: 'provisional', west: 'undone' }, ''],
    ['succeeded', { east: 'kept', west: 'undone' }, 'its run succeeded, and its release is kept in east, undone in west'],
    ['succeeded', { east: 'kept', west: undefined }, 'its run succeeded, and its release is kept in east, not deployed in west'],
    [
      'rolled_back',
      { east: 'kept', west: 'undone' },
      'its run ended rolled_back, and its release is kept in east, undone in west',
    ],
    [
      'cancelled',
      { east: 'undone', west: 'provisional' },
      'its run ended cancelled, and its release is undone in east, provisional in west',
    ],
  ])('ended %s, with %j', async (end, statuses, facts) => {
    const { small, memory, run } = await groupOf(end, statuses)
    const finding = oneIntendedRelease(memory)
    const about = `I3 run ${run.id}, step ship`
    expect(linesOf(finding.violations).filter((line) => line.startsWith('I3 run'))).toEqual(
      facts === '' ? [] : [`${about}: ${facts}`],
    )
    expect(finding.looked['I3 groups']).toBe(1)
    await small.store.close()
  })

  it('is what its newest attempt did, and not what a person did with the release', async () => {
    const { memory, run } = await groupOf('rolled_back', { east: 'undone', west: 'undone' })
    const [east] = memory.environments
    const mine = east?.recorded?.history[0]
    if (mine !== undefined) east?.recorded?.history.push({ ...mine, requestId: 'a-person', status: 'kept' })
    expect(linesOf(oneIntendedRelease(memory).violations).filter((line) => line.includes(`run ${run.id}, step`))).toEqual([])
  })
})

/** A run with a group of two environments, and what has become of its release in each. */
async function groupOf(end: RunEnd, statuses: Record<string, Served['status'] | undefined>) {
  const small = await openWorld()
  const [run] = await small.deliver()
  if (run === undefined) throw new Error('no run')
  const names = Object.keys(statuses)
  const deploy = { environments: names, strategy: 'blue_green' as const, health: {}, bakeMs: 0 }
  const rest = { needs: [], env: {}, timeoutMs: 1_000, retry: { max: 0, on: [], exitCodes: [], backoffMs: 0 } }
  const step: PlanStep = { id: 'ship', kind: 'deploy', deploy, ...rest }
  await small.carryOut(run, { plan: planOf([step]), end, silent: true })
  const release = makeReleaseRef(run, 1)
  const environments = names.map((environment): EnvironmentMemory => {
    const status = statuses[environment]
    const served = { release, deploymentId: 'd1', requestId: `${run.id}/ship/${environment}/1`, at: 1 }
    const recorded = { ...emptyEnvironment(environment, 1), history: status === undefined ? [] : [{ ...served, status }] }
    return { name: environment, fence: 1, deployments: [], recorded, owner: { said: recorded }, edge: { silent: 'nobody' } }
  })
  const memory: Memory = { ...(await small.remember()), environments }
  return { small, memory, run }
}

function migrationOf(id: string, version: string, on?: string): NonNullable<EnvironmentState['migrations']>[number] {
  const command = (what: string) => ['node', '/app/migrate.cjs', what, version, '/notes']
  const release = { id: 'x', number: 1 } as ReleaseRef
  const rest = { release, requestId: id, timeoutMs: 1_000, ...(on === undefined ? {} : { on }) }
  return { id, up: command('up'), down: command('down'), ...rest }
}

function applied({ world }: SmallWorld, versions: string[]): void {
  writeFileSync(join(world.notes, `schema.${name}`), versions.map((version) => `${version}\n`).join(''))
}

function withLevel(
  memory: EnvironmentMemory,
  migrations: EnvironmentState['migrations'],
  { level, served }: { level?: string; served?: string },
): EnvironmentMemory {
  const history = (memory.recorded?.history ?? []).map((entry) => ({
    ...entry,
    ...(served === undefined ? {} : { level: served }),
  }))
  return withState(memory, { history, migrations, ...(level === undefined ? {} : { level }) })
}

async function judge(small: SmallWorld, memory: EnvironmentMemory): Promise<string[]> {
  return linesOf(oneIntendedRelease({ ...(await small.remember()), environments: [memory] }).violations)
}

/** Two releases, one after the other; the second serves. All of it in the real store, the keeper's file and a real edge. */
async function good(end: RunEnd = 'succeeded'): Promise<{ small: SmallWorld; memory: EnvironmentMemory; second: Run }> {
  const small = await openWorld()
  const [first] = await small.deliver()
  const [second] = await small.deliver()
  if (first === undefined || second === undefined) throw new Error('no runs')
  await small.carryOut(first)
  await small.carryOut(second, { end })
  const releases = [makeReleaseRef(first, 1), makeReleaseRef(second, 2)]
  const deployments = releases.map((release, index) => deploymentOf(release, index + 1))
  const history = deployments.map(({ id: deploymentId, release, requestId }): Served => ({
    release,
    deploymentId,
    requestId,
    status: 'kept',
    at: 1,
  }))
  const [, newest] = releases
  if (newest === undefined) throw new Error('no release')
  const state = { ...emptyEnvironment(name, 9), history, current: { release: newest, deploymentId: 'd2' } }
  for (const deployment of deployments) await small.store.environments.record(state, deployment)
  writeFileSync(
    join(small.world.places.keeper, 'state.json'),
    JSON.stringify({ version: 1, environments: { [name]: keeperOf(newest) } }),
  )
  small.world.environments = [{ name, url: await serveEdge('i2', 200) }]
  const [memory] = (await small.remember()).environments
  if (memory === undefined) throw new Error('no environment')
  return { small, memory, second }
}

function deploymentOf(release: ReleaseRef, n: number): Deployment {
  const times = { startedAt: n * 1_000, endedAt: n * 1_000 + 900 }
  return {
    id: `d${String(n)}`,
    environment: name,
    kind: 'deploy',
    release,
    requestId: `r${String(n)}`,
    runId: release.runId,
    status: 'deployed',
    ...times,
  }
}

function keeperOf({ image }: ReleaseRef): EnvironmentRecord {
  const flags = { activated: true, stopping: false, parked: false, restarts: 0, startedAt: 1, port: 1, log: 'log' }
  const instance = { id: 'i2', digest: image.digest, directory: 'app', workingDirectory: 'app', command: ['app'], ...flags }
  return { fence: 9, answered: [], instances: [instance], active: image.digest, upstreams: [] }
}

function withState(memory: EnvironmentMemory, change: Partial<EnvironmentState>): EnvironmentMemory {
  const recorded = { ...emptyEnvironment(name, 9), ...memory.recorded, ...change }
  const { active: _active, ...said } = recorded
  return { ...memory, recorded, owner: { said } }
}

function withCurrent(memory: EnvironmentMemory, served: Served | undefined): EnvironmentMemory {
  if (served === undefined) throw new Error('nothing was served')
  const { release, deploymentId } = served
  return withState(memory, { current: { release, deploymentId } })
}

function withKeeper(memory: EnvironmentMemory, change: Partial<EnvironmentRecord>): EnvironmentMemory {
  return memory.keeper === undefined ? memory : { ...memory, keeper: { ...memory.keeper, ...change } }
}

/** As the sample application behind an edge answers. */
async function serveEdge(instance: string, status: number): Promise<string> {
  const server = createServer((request, response) =>
    response.writeHead(status).end(request.url === '/env?name=BELAY_INSTANCE' ? instance : ''),
  )
  edges.push(server)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  return `http://127.0.0.1:${String(typeof address === 'object' ? address?.port : address)}`
}
