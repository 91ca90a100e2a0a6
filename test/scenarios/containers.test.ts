/**
 * From a push to containers: built, pushed to a registry, pulled by digest, switched and taken back under traffic, by both edges.
 * One edge has what `docker` builds, the other what `buildah` does.
 */
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { RunDetail } from '../../src/api/run-schemas.ts'
import { haproxyEdge } from '../../src/drivers/edges/haproxy/haproxy-edge.ts'
import { baseImages, ensureBaseImages } from '../helpers/base-images.ts'
import { engineMissing } from '../helpers/engine.ts'
import { sweepImages } from '../helpers/docker-app-image.ts'
import { registryMissing, startRegistry, type RunningRegistry } from '../helpers/registry.ts'
import { loadStepRow, startScenario, type Scenario } from '../helpers/scenario.ts'
import { skipUnless } from '../helpers/skips.ts'
import { startTraffic } from '../helpers/traffic-process.ts'
import { until } from '../helpers/until.ts'

const missing = engineMissing() ?? registryMissing() ?? haproxyEdge.findObstacle()
const password = randomBytes(12).toString('hex')
/** The engine may be shared: names that nobody else has. */
const suffix = randomBytes(3).toString('hex')
const drivers = ['embedded', 'haproxy'] as const
const builders = { embedded: 'docker', haproxy: 'buildah' } as const
const environmentOf = (driver: (typeof drivers)[number]): string => `${driver}-${suffix}`

let registry: RunningRegistry
/** The Node image, where a builder without the engine can read it. */
let base: string
let scenario: Scenario

beforeAll(async () => {
  if (missing !== undefined) return
  await ensureBaseImages()
  registry = await startRegistry({ auth: { username: 'ci', password } })
  base = `${registry.host}/base/node:20`
  await pushBase()
  const more = 'instances: 2, memory: 128M, pids: 64'
  scenario = await startScenario({
    environments: Object.fromEntries(
      drivers.map((driver) => [environmentOf(driver), { target: 'docker' as const, driver, more }]),
    ),
    config: `registries: { main: { url: "${registry.url}", username: ci, password: { from_env: REGISTRY_PASSWORD } } }\n`,
    env: { REGISTRY_PASSWORD: password },
  })
}, 180_000)

afterAll(async () => {
  await scenario?.stop()
  if (missing === undefined) {
    for (const driver of drivers) await removeAll(environmentOf(driver))
    await sweepImages(registry)
  }
  await registry?.stop()
})

async function pushBase(): Promise<void> {
  const config = mkdtempSync(join(tmpdir(), 'belay-docker-'))
  const auth = Buffer.from(`ci:${password}`).toString('base64')
  writeFileSync(join(config, 'config.json'), JSON.stringify({ auths: { [registry.host]: { auth } } }), { mode: 0o600 })
  await execa('docker', ['tag', baseImages.node, base])
  await execa('docker', ['push', '--quiet', base], { env: { DOCKER_CONFIG: config } })
  rmSync(config, { recursive: true })
}

interface Wanted {
  version: string
  environment: string
  builder: string
  /** Lines of the Dockerfile before its command. */
  lines?: string[]
  command?: string
  bake?: string
}

/** Two stages: the program is checked in the first, and only what passed gets into the second. */
function dockerfile({ version, lines = [], command }: Wanted): string {
  return [
    `FROM ${base} AS build`,
    'COPY app.cjs /src/app.cjs',
    'RUN node --check /src/app.cjs',
    `FROM ${base}`,
    'COPY --from=build /src/app.cjs /app/app.cjs',
    'ENV HOST=0.0.0.0',
    'USER 10001',
    ...lines,
    command ?? `CMD ["node", "/app/app.cjs", "${version}"]`,
    '',
  ].join('\n')
}

function deploy(wanted: Wanted): Promise<RunDetail> {
  const pipeline = `steps:
  image:
    build_image: { builder: ${wanted.builder}, repository: main/hello/app, tags: ["\${{ sha }}"] }
  ship:
    deploy:
      environment: ${wanted.environment}
      health: { http: /healthz, interval: 100ms, unhealthy_after: 2, timeout: 20s }
      bake: { for: ${wanted.bake ?? '1s'} }
`
  return scenario.run(pipeline, { files: { Dockerfile: dockerfile(wanted) } })
}

async function served(environment: string): Promise<string> {
  const response = await fetch(`${scenario.system.edgeOf(environment)}/version`)
  return response.ok ? await response.text() : String(response.status)
}

describe.each(drivers)('through the %s edge', (driver) => {
  const environment = environmentOf(driver)
  const builder = builders[driver]

  test('a push becomes two hardened containers of the very digest that the registry gave', async () => {
    skipUnless(missing === undefined, missing ?? '')
    const run = await deploy({ version: 'v1', environment, builder })
    expect(run.status, run.reason).toBe('succeeded')
    expect(await served(environment)).toBe('v1')
    const { current } = await scenario.system.client.getEnvironment(environment)
    const digest = current?.release.image.digest ?? ''
    const containers = await inspectAll(environment)
    expect(containers).toHaveLength(2)
    for (const { Config, HostConfig, State } of containers) {
      expect(State.Running).toBe(true)
      expect(Config.Image).toBe(`${registry.host}/hello/app@${digest}`)
      expect(Config.User).toBe('10001')
      expect(HostConfig).toMatchObject({
        ...{ ReadonlyRootfs: true, Privileged: false, CapDrop: ['ALL'], Memory: 128 * 1024 ** 2, PidsLimit: 64 },
        RestartPolicy: { Name: 'always' },
      })
    }
    expect(JSON.stringify(containers)).not.toContain(password)
    const pulled = registry.log().includes(`"GET /v2/hello/app/manifests/${digest} HTTP/1.1" 200`)
    // No build leaves its image in the engine: the target pulls it, by digest.
    expect(pulled).toBe(true)
  })

  test('a newer one is switched to, and one that sickens under traffic is taken back, without a failed request', async () => {
    skipUnless(missing === undefined, missing ?? '')
    const traffic = startTraffic(`${scenario.system.edgeOf(environment)}/version`)
    try {
      const good = await deploy({ version: 'v2', environment, builder })
      expect(good.status, good.reason).toBe('succeeded')
      expect(await served(environment)).toBe('v2')
      const bad = await deploy({ version: 'v3', environment, builder, lines: ['ENV SICK_AFTER=20'], bake: '60s' })
      expect(bad.status).toBe('rolled_back')
      expect(loadStepRow(bad, 'ship')).toMatchObject({
        status: 'failed',
        reason: expect.stringContaining('failed under traffic'),
      })
      expect(await served(environment)).toBe('v2')
      const counts = await traffic.stop()
      expect(counts.failures).toEqual([])
      expect(Object.keys(counts.versions).toSorted()).toEqual(['v1', 'v2', 'v3'])
      console.log(`${driver}: ${JSON.stringify(counts)}`)
    } finally {
      traffic.kill()
    }
  })

  test('one that never becomes healthy gets no traffic, and nothing of it is left', async () => {
    skipUnless(missing === undefined, missing ?? '')
    const run = await deploy({
      version: 'v4',
      environment,
      builder,
      command: `CMD ["node", "-e", "console.log('no way'); process.exit(3)"]`,
    })
    expect(run.status).toBe('rolled_back')
    expect(loadStepRow(run, 'ship').reason).toMatch(/did not become healthy.*no way/s)
    expect(await served(environment)).toBe('v2')
    await until('only what serves is left', async () => (await inspectAll(environment)).length === 2)
  })

  test('a rollback by number serves the older digest again, without a failed request', async () => {
    skipUnless(missing === undefined, missing ?? '')
    const { history } = await scenario.system.client.getEnvironment(environment)
    const [first] = history.filter(({ status }) => status === 'kept')
    const traffic = startTraffic(`${scenario.system.edgeOf(environment)}/version`)
    try {
      await scenario.system.client.rollback(environment, { to: String(first?.release.number) })
      await until('v1 serves again', async () => (await served(environment)) === 'v1')
      await until('the rollback has ended', async () => {
        const { active } = await scenario.system.client.getEnvironment(environment)
        return active === undefined
      })
      expect((await traffic.stop()).failures).toEqual([])
    } finally {
      traffic.kill()
    }
  })
})

interface Inspected {
  Config: { Image: string; User: string }
  State: { Running: boolean }
  HostConfig: Record<string, unknown>
}

/** On the engine the name of an environment has after it whose it is. */
async function list(kind: 'container' | 'volume', environment: string): Promise<string[]> {
  const format = `{{${kind === 'container' ? '.ID' : '.Name'}}} {{.Label "belay.environment"}}`
  const options = ['--filter', 'label=belay.environment', '--format', format]
  const { stdout } = await execa('docker', [kind, 'ls', ...(kind === 'container' ? ['--all'] : []), ...options])
  return stdout.split('\n').flatMap((line) => {
    const [id = '', place = ''] = line.split(' ')
    return place.startsWith(`${environment}-`) ? [id] : []
  })
}

async function inspectAll(environment: string): Promise<Inspected[]> {
  const ids = await list('container', environment)
  if (ids.length === 0) return []
  const { stdout } = await execa('docker', ['container', 'inspect', '--', ...ids])
  return JSON.parse(stdout) as Inspected[]
}

async function removeAll(environment: string): Promise<void> {
  for (const id of await list('container', environment)) await execa('docker', ['container', 'rm', '--force', id])
  for (const name of await list('volume', environment)) await execa('docker', ['volume', 'rm', name])
}
