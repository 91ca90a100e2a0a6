import { mkdirSync, readdirSync, rmSync } from 'node:fs'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { endKeeper, livingApps } from '../../../../test/helpers/keeper-process.ts'
import { writeImage } from '../../../../test/helpers/oci-image.ts'
import { openDirectory, sampleProgram } from '../../../../test/helpers/sample-app.ts'
import { skipUnless } from '../../../../test/helpers/skips.ts'
import { until } from '../../../../test/helpers/until.ts'
import { messageOf } from '../../../domain/errors.ts'
import type { ReleaseRef } from '../../../domain/release.ts'
import { startKeeper, type Keeper } from '../../../embedded/keeper/keeper.ts'
import { findFreePort } from '../../../process/free-port.ts'
import { edges } from '../../edges/index.ts'
import type { Target } from '../target.ts'
import { createProcessTarget } from './process-target.ts'

let base: string
let keeper: Keeper
let target: Target
let edge: string
let port: number
let fence: number
let secret: string

beforeEach(async () => {
  base = openDirectory()
  fence = 0
  secret = 'value of a secret'
  mkdirSync(`${base}/apps`, { mode: 0o755 })
  keeper = await startKeeper({ directory: `${base}/keeper`, apps: `${base}/apps`, log: () => undefined })
  port = await findFreePort()
  edge = `http://127.0.0.1:${String(port)}`
  target = createTarget('embedded')
})
afterEach(async () => {
  await keeper.stop()
  await endKeeper(`${base}/keeper`)
  rmSync(base, { recursive: true, force: true })
})

function createTarget(driver: (typeof edges)[number]['name']): Target {
  return createProcessTarget({
    socket: keeper.socket,
    images: `${base}/images`,
    apps: `${base}/apps`,
    registries: {},
    edges: { production: { driver, host: '127.0.0.1', port } },
    resolveEnv: () => Promise.resolve({ SECRET: secret }),
  })
}

const operation = () => ({ environment: 'production', fence: ++fence, operationId: `operation ${String(fence)}` })

async function makeRelease(version: string): Promise<ReleaseRef> {
  const digest = await writeImage({
    layout: `${base}/images/shop/app`,
    layers: [[{ name: 'app/app.cjs', content: sampleProgram }]],
    config: { Entrypoint: ['node', '/app/app.cjs'], Cmd: [version], Env: ['PATH=/nowhere', 'FLAVOUR=plain'], WorkingDir: '/app' },
    gzip: true,
  })
  const sha = 'c'.repeat(40)
  return { id: version, project: 'shop', number: 1, version, sha, runId: 'run', image: { repository: 'shop/app', digest } }
}

async function deploy(version: string): Promise<ReleaseRef> {
  const release = await makeRelease(version)
  await target.stage(operation(), release, { alone: false })
  const url = (await target.listInstances('production', release.image.digest))[0]?.url ?? ''
  await until('it listens', () => fetch(`${url}/version`).then(() => true, () => false), 10_000) // prettier-ignore
  await target.activate(operation(), release.image.digest)
  return release
}

describe.each(edges)('with the edge $name', (driver) => {
  beforeEach(() => {
    const obstacle = driver.findObstacle()
    skipUnless(obstacle === undefined, obstacle ?? '')
    target = createTarget(driver.name)
  })

  it('opens its edges before there is a release', async () => {
    await target.openEdges()
    expect((await fetch(edge)).status).toBe(503)
    expect(await target.observe('production')).toEqual({ running: [], fence: 0 })
  })

  it("unpacks a release, starts it with the environment's variables, and serves it", async () => {
    const release = await deploy('1.0.0')
    expect(await (await fetch(`${edge}/version`)).text()).toBe('1.0.0')
    expect(await (await fetch(`${edge}/env?name=SECRET`)).text()).toBe(secret)
    expect(await (await fetch(`${edge}/env?name=FLAVOUR`)).text()).toBe('plain')
    expect(await target.observe('production')).toEqual({
      servingDigest: release.image.digest,
      running: [release.image.digest],
      fence: 2,
    })
    expect(await target.listInstances('production', release.image.digest)).toMatchObject([{ running: true }])
    expect(await target.listInstances('production', `sha256:${'0'.repeat(64)}`)).toEqual([])
    await until('all are counted', async () => (await target.traffic('production', release.image.digest)).requests === 3, 5_000)
    expect(await target.traffic('production', release.image.digest)).toEqual({ requests: 3, errors: 0 })
  })

  it('says which release served before, also when asked again', async () => {
    const first = await deploy('1')
    const second = await makeRelease('2')
    await target.stage(operation(), second, { alone: false })
    const activation = operation()
    const answer = { previousDigest: first.image.digest }
    expect(await target.activate(activation, second.image.digest)).toEqual(answer)
    expect(await target.activate(activation, second.image.digest)).toEqual(answer)
  })

  it('goes back to the release before, which answers at once', async () => {
    const first = await deploy('1')
    const second = await deploy('2')
    expect(await (await fetch(`${edge}/version`)).text()).toBe('2')
    expect(await target.activate(operation(), first.image.digest)).toEqual({ previousDigest: second.image.digest })
    expect(await (await fetch(`${edge}/version`)).text()).toBe('1')
    await target.retire(operation())
    expect(await target.observe('production')).toMatchObject({ running: [first.image.digest] })
    await target.clear(operation())
    expect((await fetch(edge)).status).toBe(503)
  })

  it('an instance that died is served again where it is then', async () => {
    const release = await deploy('1')
    const find = async () => (await target.listInstances('production', release.image.digest))[0]
    const before = await find()
    await fetch(`${edge}/crash`).catch(() => undefined)
    await until('its end was seen', async () => (await find())?.exit, 5_000)
    expect(await (await fetch(`${edge}/version`)).text()).toBe('1')
    const after = await find()
    expect(after?.id).toBe(before?.id)
    expect(after?.url).not.toBe(before?.url)
  })
})

it('passes on what the keeper refuses, with its code', async () => {
  await deploy('1')
  await expect(target.clear({ ...operation(), fence: 0 })).rejects.toMatchObject({ code: 'stale', retryable: false })
  await expect(target.activate(operation(), `sha256:${'0'.repeat(64)}`)).rejects.toMatchObject({ code: 'refused' })
})

it('keeps what runs and the newest five of the unpacked releases', async () => {
  for (const version of ['1', '2', '3', '4', '5', '6', '7']) {
    await deploy(version)
    await target.retire(operation())
  }
  expect(readdirSync(`${base}/apps/production`)).toHaveLength(5)
  expect(livingApps(`${base}/keeper`)).toHaveLength(1)
  expect(await (await fetch(`${edge}/version`)).text()).toBe('7')
})

it('a keeper that is away is unavailable, and worth another try', async () => {
  await keeper.stop()
  await expect(target.observe('production')).rejects.toMatchObject({ code: 'unavailable', retryable: true })
})

it('refuses a program that cannot be started, with its name', async () => {
  const digest = await writeImage({
    layout: `${base}/images/shop/app`,
    layers: [[{ name: 'app/file', content: '' }]],
    config: { Entrypoint: ['no-such-program'] },
  })
  const release = { ...(await makeRelease('1')), image: { repository: 'shop/app', digest } }
  const error = await target.stage(operation(), release, { alone: false }).catch((refused: unknown) => refused)
  expect(error).toMatchObject({ code: 'refused' })
  expect(messageOf(error)).toContain('no-such-program')
  expect(await target.observe('production')).toMatchObject({ running: [] })
})
