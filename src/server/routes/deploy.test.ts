/** What is refused before an environment is asked, and what it is asked; that it does so is test/scenarios/deploy.test.ts. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { makeProject, openFrontDoor, startPlannedRun, type FrontDoor } from '../../../test/helpers/front-door.ts'
import type { Client } from '../../api/client.ts'
import type { Config } from '../../config/config.ts'
import type { RollbackRequest } from '../../domain/environment.ts'
import type { Release } from '../../domain/release.ts'

let door: FrontDoor
let client: Client

const projects = {
  shop: makeProject({ environments: ['staging'] }),
  blog: makeProject({ name: 'blog', environments: [] }),
}

async function open(more: Partial<typeof projects> = {}, config: Partial<Config> = {}): Promise<void> {
  door = await openFrontDoor({ config: { projects: { ...projects, ...more }, ...config } })
  client = await door.client('operator')
}

beforeEach(() => open())
afterEach(() => door.close())

const digestOf = (letter: string): string => `sha256:${letter.repeat(64)}`

async function release(project: string, letter: string): Promise<Release> {
  const run = await startPlannedRun(door.store)
  const image = { repository: `${project}/app`, digest: digestOf(letter) }
  return door.store.releases.create({ project, sha: '1'.repeat(40), image, runId: run.id, artifacts: [], step: 'release' })
}

/** In Temporal's place: notes what it is asked, and what the audit held by then. */
function listen(): { asked: RollbackRequest[]; audited: unknown[] } {
  const heard: { asked: RollbackRequest[]; audited: unknown[] } = { asked: [], audited: [] }
  door.orchestrator.rollBack = async (request) => {
    heard.audited.push(...(await door.audited()))
    heard.asked.push(request)
    const first = heard.asked.find(({ id }) => id === request.id)?.release ?? request.release
    return { requestId: request.id, release: first?.number ?? 0, digest: first?.image.digest ?? '' }
  }
  return heard
}

describe('a deployment by a person', () => {
  test('asks the environment for that very release, by the person, after the audit has a row', async () => {
    const { artifacts, createdAt, ...ref } = await release('shop', 'a')
    const heard = listen()
    const accepted = await client.deploy('staging', { release: '#1', reason: 'for the demo' }, 'key')
    expect(accepted).toEqual({ requestId: 'deploy/token:operator/key', release: 1, digest: digestOf('a') })
    expect({ artifacts, createdAt: typeof createdAt }).toEqual({ artifacts: [], createdAt: 'number' })
    const actor = { id: 'token:operator', name: 'operator' }
    const asked = { environment: 'staging', actor, to: digestOf('a'), release: ref, reason: 'for the demo' }
    expect(heard.asked).toEqual([{ id: accepted.requestId, ...asked }])
    const data = { project: 'shop', release: 1, digest: digestOf('a'), reason: 'for the demo', request: accepted.requestId }
    expect(heard.audited).toMatchObject([{ actor: actor.id, action: 'environment.deploy', subject: 'staging', data }])
  })

  test('by digest is of the newest release with that image', async () => {
    for (const letter of ['a', 'b', 'a']) await release('shop', letter)
    const heard = listen()
    expect(await client.deploy('staging', { release: digestOf('a') })).toMatchObject({ release: 3 })
    expect(heard.asked).toMatchObject([{ release: { number: 3 } }])
  })

  test('with the key of an earlier one is that one; of another release it is refused', async () => {
    for (const letter of ['a', 'b']) await release('shop', letter)
    listen()
    const first = await client.deploy('staging', { release: '1' }, 'key')
    expect(await client.deploy('staging', { release: digestOf('a') }, 'key')).toEqual(first)
    await expect(client.deploy('staging', { release: '2' }, 'key')).rejects.toMatchObject({
      code: 'conflict',
      message: 'this Idempotency-Key deployed another release: number 1',
    })
  })
})

describe('refused, without an audit row, and nothing is asked', () => {
  test.each([
    ['an environment that is not there', 'nowhere', { release: '1' }, 'not_found', 'there is no environment "nowhere"'],
    ['a number that is not there', 'staging', { release: '7' }, 'not_found', 'shop: there is no release 7'],
    ['a digest that is not there', 'staging', { release: digestOf('f') }, 'not_found', 'shop: there is no release sha256:f'],
    ['a digest of a project that may not', 'staging', { release: digestOf('b') }, 'not_found', 'shop: there is no release'],
    ['a project that may not', 'staging', { release: '1', project: 'blog' }, 'forbidden', 'blog may not deploy to staging'],
    ['a project that is not there', 'staging', { release: '1', project: 'x' }, 'not_found', 'there is no project "x"'],
    ['something else', 'staging', { release: 'main' }, 'invalid_input', '"main" is neither the number of a release'],
    ['a number of nothing', 'staging', { release: '0' }, 'invalid_input', '"0" is neither the number of a release'],
  ])('%s', async (_, environment, body, code, message) => {
    await release('shop', 'a')
    await release('blog', 'b')
    const heard = listen()
    const call = client.deploy(environment, body)
    await expect(call).rejects.toMatchObject({ code, message: expect.stringContaining(message), hint: expect.any(String) })
    expect(heard.asked).toEqual([])
    expect(await door.audited()).toEqual([])
  })

  test('a number alone, where several projects deploy there: they are named', async () => {
    await door.close()
    await open({ blog: makeProject({ name: 'blog', environments: ['staging'] }) })
    await release('blog', 'b')
    const heard = listen()
    await expect(client.deploy('staging', { release: '1' })).rejects.toMatchObject({
      code: 'invalid_input',
      message: 'release 1 of which project? shop, blog deploy to staging',
      hint: expect.stringContaining('--project'),
    })
    expect(await client.deploy('staging', { release: '1', project: 'blog' })).toMatchObject({ digest: digestOf('b') })
    expect(await client.deploy('staging', { release: digestOf('b') })).toMatchObject({ digest: digestOf('b') })
    expect(heard.asked).toHaveLength(2)
  })
})

describe('an environment of containers', () => {
  const health = { http: '/healthz', intervalMs: 1000, healthyAfter: 1, unhealthyAfter: 3, timeoutMs: 60_000 }
  const edge = { driver: 'embedded' as const, host: '127.0.0.1', port: 9080 }
  const staging = { name: 'staging', target: 'docker' as const, edge, health, env: {} }

  async function deploy(registry?: string): Promise<unknown> {
    await door.close()
    await open({}, { environments: { staging }, registries: { main: { name: 'main', url: 'https://registry.example' } } })
    const heard = listen()
    const run = await startPlannedRun(door.store)
    const image = { repository: 'main/app', digest: digestOf('a'), ...(registry === undefined ? {} : { registry }) }
    const made = { project: 'shop', sha: '1'.repeat(40), image, runId: run.id, artifacts: [], step: 'release' }
    await door.store.releases.create(made)
    try {
      return await client.deploy('staging', { release: '1' })
    } finally {
      expect(heard.asked).toHaveLength(registry === 'main' ? 1 : 0)
    }
  }

  test('gets an image of a registry', async () => {
    await expect(deploy('main')).resolves.toMatchObject({ release: 1 })
  })

  test.each([
    ['in no registry', undefined, 'is in no registry'],
    ['in one that is not configured', 'gone', 'the registry gone, which is not configured'],
  ])('is refused one that is %s, before it is asked', async (_, registry, why) => {
    await expect(deploy(registry)).rejects.toMatchObject({
      code: 'refused',
      message: expect.stringContaining(why) as string,
      hint: expect.stringContaining('registries') as string,
    })
  })
})
