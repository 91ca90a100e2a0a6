/** The container engine is killed and starts again: what serves comes back by itself, and what was only staged is seen as dead. */
import { randomBytes } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import type { ReleaseRef } from '../../src/domain/release.ts'
import { placeName } from '../../src/drivers/targets/docker/container-name.ts'
import { createDockerTarget } from '../../src/drivers/targets/docker/docker-target.ts'
import type { Target } from '../../src/drivers/targets/target.ts'
import { findIdentity } from '../../src/process/identity.ts'
import { ensureBaseImages } from '../helpers/base-images.ts'
import { pushAppImage, sweepEnvironment, sweepImages } from '../helpers/docker-app-image.ts'
import { engineMissing } from '../helpers/engine.ts'
import { startKeeperEdge, type KeeperEdge } from '../helpers/keeper-edge.ts'
import { registryMissing, startRegistry, type RunningRegistry } from '../helpers/registry.ts'
import { skipUnless } from '../helpers/skips.ts'
import { until } from '../helpers/until.ts'

/** Of an engine that somebody starts again when it dies. */
const pidFile = process.env['BELAY_TEST_ENGINE_PIDFILE']
const missing =
  engineMissing() ??
  registryMissing() ??
  (pidFile === undefined
    ? 'this engine is not ours to kill: `npm test` starts one that is, unless one answers already'
    : undefined)

const environment = `test-${randomBytes(4).toString('hex')}`
let registry: RunningRegistry
let directory: string
let edge: KeeperEdge
let target: Target
let fence = 0

beforeAll(async () => {
  if (missing !== undefined) return
  directory = mkdtempSync(join(tmpdir(), 'belay-engine-restart-'))
  ;[registry, edge] = await Promise.all([startRegistry(), startKeeperEdge(directory, environment), ensureBaseImages()])
  target = createDockerTarget({
    edge: edge.control,
    scope: 'test',
    environments: { [environment]: { engine: { address: '127.0.0.1' }, instances: 2, pids: 64 } },
    registries: { main: registry.access },
    directory: join(directory, 'target'),
    env: { PATH: process.env['PATH'] ?? '', HOME: directory, DOCKER_HOST: process.env['DOCKER_HOST'] ?? '' },
    resolveEnv: () => Promise.resolve({}),
  })
})
afterAll(async () => {
  if (directory === undefined) return
  await edge?.stop()
  await sweepEnvironment(placeName(environment, 'test'))
  if (registry !== undefined) {
    await sweepImages(registry)
    await registry.stop()
  }
  rmSync(directory, { recursive: true, force: true })
})
beforeEach(() => {
  skipUnless(missing === undefined, missing ?? '')
})

const operation = () => ({ environment, fence: ++fence, operationId: `operation ${String(fence)}` })

async function makeRelease(version: string): Promise<ReleaseRef> {
  const image = await pushAppImage(registry, { version })
  return { id: version, project: 'shop', number: 1, version, sha: 'c'.repeat(40), runId: 'run', image }
}

const answersAs = (version: string) =>
  until(`${version} serves`, () =>
    fetch(`${edge.url}/version`).then(
      async (response) => (await response.text()) === version,
      () => undefined,
    ),
  )

async function killEngine(): Promise<void> {
  const pid = Number(readFileSync(pidFile ?? '', 'utf8'))
  process.kill(pid, 'SIGKILL')
  await until('the engine has gone', () => findIdentity(pid) === undefined)
}

test('what serves comes back at the same addresses, what was staged is dead, and no lower number gets in', async () => {
  const [serving, staged] = [await makeRelease('1'), await makeRelease('2')]
  await target.stage(operation(), serving, { alone: false })
  await target.activate(operation(), serving.image.digest)
  await answersAs('1')
  await target.stage(operation(), staged, { alone: false })
  const before = await target.listInstances(environment, serving.image.digest)

  await killEngine()
  const away = await target.observe(environment).catch((error: unknown) => error)
  // Whoever starts it again may have been faster than the question.
  expect(away).toSatisfy((answer: object) => 'fence' in answer || ('retryable' in answer && answer.retryable === true))
  await until('the engine is back', () => target.observe(environment).then(() => true, () => undefined)) // prettier-ignore
  await answersAs('1')

  const after = await target.listInstances(environment, serving.image.digest)
  expect(after.map(({ id, url, running }) => ({ id, url, running }))).toEqual(
    before.map(({ id, url }) => ({ id, url, running: true })),
  )
  expect(await target.observe(environment)).toEqual({
    servingDigest: serving.image.digest,
    running: [serving.image.digest],
    fence,
  })
  const dead = await target.listInstances(environment, staged.image.digest)
  expect(dead.map(({ running }) => running)).toEqual([false, false])
  await expect(target.activate(operation(), staged.image.digest)).rejects.toMatchObject({ code: 'refused' })
  await expect(target.clear({ ...operation(), fence: 1 })).rejects.toMatchObject({ code: 'stale' })

  await target.stage(operation(), staged, { alone: false })
  await target.activate(operation(), staged.image.digest)
  await answersAs('2')
  await target.retire(operation())
  expect(await target.observe(environment)).toMatchObject({ running: [staged.image.digest] })
})
