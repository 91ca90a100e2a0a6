import { afterEach, beforeEach, expect, test } from 'vitest'
import { startForgeDouble, type ForgeDouble } from '../../test/helpers/forge-double.ts'
import { createMemoryLog, makeProject, openFrontDoor, startPlannedRun, type FrontDoor } from '../../test/helpers/front-door.ts'
import { until } from '../../test/helpers/until.ts'
import type { Config, ProjectConfig } from '../config/config.ts'
import { runStatuses } from '../domain/run.ts'
import { startOutbox, stateOf, type Outbox } from './outbox.ts'

const token = 'canary-of-a-status-token'
let door: FrontDoor
let forge: ForgeDouble
let outboxes: Outbox[]
let logged: () => string

beforeEach(async () => {
  door = await openFrontDoor()
  forge = await startForgeDouble()
  outboxes = []
})
afterEach(async () => {
  await Promise.all(outboxes.map((outbox) => outbox.stop()))
  await forge.stop()
  await door.close()
})

function start(changes: Partial<ProjectConfig> = {}, limits = {}): Outbox {
  const memory = createMemoryLog()
  logged = memory.logged
  const shop = makeProject({
    repository: 'https://git.example/acme/shop.git',
    apiUrl: `${forge.url}/api/v3`,
    statusToken: token,
    ...changes,
  })
  const config = { publicUrl: 'https://belay.example', projects: { shop } } as unknown as Config
  const outbox = startOutbox({ config, store: door.store, log: memory.log, limits: { first: 10, most: 50, ...limits } })
  outboxes.push(outbox)
  return outbox
}

/** A run that has begun, and is told so. */
async function begin(): Promise<{
  id: string
  sha: string
  end(status: 'succeeded' | 'failed', reason?: string): Promise<void>
}> {
  const run = await startPlannedRun(door.store)
  const at = Date.now()
  const body = { type: 'run' as const, status: 'running' as const }
  await door.store.runs.record(run.id, [{ source: 'run', epoch: 1, n: 100, at, body }])
  return {
    ...{ id: run.id, sha: run.trigger.sha },
    end: (status, reason) => door.store.runs.finish(run.id, { status, at, ...(reason === undefined ? {} : { reason }) }, []),
  }
}

const told = (count: number) => until(`the forge took ${String(count)}`, () => forge.taken.length >= count || undefined)
const settled = () => until('nothing is owed', async () => (await door.store.outbox.list({})).items.length === 0 || undefined)

test('a commit is pending while its run goes on, and then what became of it', async () => {
  start()
  const run = await begin()
  await told(1)
  await run.end('failed', 'step "unit"\nfailed')
  await told(2)
  const common = {
    path: `/api/v3/repos/acme/shop/statuses/${run.sha}`,
    authorization: `Bearer ${token}`,
    context: 'belay/release',
    target_url: `https://belay.example/api/v1/runs/${run.id}`,
  }
  expect(forge.taken).toEqual([
    { ...common, state: 'pending', description: 'Run 1 running' },
    { ...common, state: 'failure', description: 'Run 1 failed: step "unit" failed' },
  ])
  await settled()
  expect(logged()).not.toContain(token)
})

test.each(['gitea', 'forgejo'] as const)('a commit of %s is pending, and in the end exactly what became of it', async (name) => {
  start({ forge: name, apiUrl: `${forge.url}/api/v1` })
  const run = await begin()
  await told(1)
  forge.faults = ['reset', { status: 401 }]
  await run.end('succeeded')
  await told(2)
  await settled()
  const common = {
    path: `/api/v1/repos/acme/shop/statuses/${run.sha}`,
    authorization: `token ${token}`,
    context: 'belay/release',
    target_url: `https://belay.example/api/v1/runs/${run.id}`,
  }
  expect(forge.taken).toEqual([
    { ...common, state: 'pending', description: 'Run 1 running' },
    { ...common, state: 'success', description: 'Run 1 succeeded' },
  ])
  expect(logged()).not.toContain(token)
})

test('a forge that takes no statuses is told nothing, and nothing is left', async () => {
  await (await begin()).end('succeeded')
  start({ forge: 'generic' })
  await settled()
  expect(forge.asked).toBe(0)
})

test('whatever the forge does at first, the last word is told, once', async () => {
  forge.faults = ['reset', { status: 500 }, { status: 401 }, { status: 404 }, { status: 429, headers: { 'retry-after': '0' } }]
  const run = await begin()
  await run.end('succeeded')
  start()
  await told(1)
  await settled()
  expect(forge.taken.map(({ state }) => state)).toEqual(['success'])
  expect(forge.asked).toBe(6)
})

test('a rate limit is waited out as it says', async () => {
  const reset = String(Math.ceil(Date.now() / 1_000) + 3_600)
  forge.faults = [{ status: 403, headers: { 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': reset } }]
  await (await begin()).end('succeeded')
  start()
  const [item] = await until('it is put off', async () => {
    const { items } = await door.store.outbox.list({})
    return items[0]?.error === undefined ? undefined : items
  })
  expect(item).toMatchObject({ error: 'it answered 403', givenUp: false })
  await expect(door.store.outbox.lease({ owner: 'x', leaseMs: 1, limit: 1 })).resolves.toEqual([])
})

test('what the forge will never take is given up at once, and what it did not take in time, too; both are kept with why', async () => {
  forge.faults = [{ status: 422 }]
  await (await begin()).end('succeeded')
  const outbox = start()
  const given = () =>
    until('it is given up', async () => {
      const { items } = await door.store.outbox.list({})
      return items[0]?.givenUp === true ? items[0] : undefined
    })
  expect((await given()).error).toContain('422')
  expect(forge.asked).toBe(1)
  await outbox.stop()
  forge.faults = Array.from({ length: 100 }, () => ({ status: 500 }))
  await (await begin()).end('succeeded')
  start({}, { givenUpAfterMs: 0 })
  expect((await given()).error).toContain('500')
})

test('two senders at once tell a forge each state once', async () => {
  start()
  start()
  const runs = await Promise.all(Array.from({ length: 10 }, () => begin()))
  await Promise.all(runs.map((run) => run.end('succeeded')))
  await settled()
  // All of one commit: the newest run's word is the last one.
  expect(forge.taken.at(-1)).toMatchObject({ state: 'success' })
  expect(new Set(forge.taken.map(({ target_url: url, state }) => `${url} ${state}`)).size).toBe(forge.taken.length)
})

test('a sender that was stopped leaves the rest to the next one', async () => {
  const outbox = start()
  await outbox.stop()
  await (await begin()).end('succeeded')
  expect(forge.asked).toBe(0)
  start()
  await told(1)
})

test('a project without a token is told nothing, and nothing is left', async () => {
  const { statusToken: _none, ...without } = makeProject({ statusToken: 'x' })
  await (await begin()).end('succeeded')
  const memory = createMemoryLog()
  const config = { publicUrl: '', projects: { shop: without } } as unknown as Config
  outboxes.push(startOutbox({ config, store: door.store, log: memory.log }))
  await settled()
  expect(forge.asked).toBe(0)
})

test('each end of a run is a terminal state', () => {
  expect(runStatuses.filter((status) => stateOf(status) === 'pending')).toEqual(['queued', 'running'])
})
