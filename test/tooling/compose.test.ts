/** docker-compose.yml, as the program that reads it understands it. What its image does is in test/floods/compose-image.test.ts. */
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeEach, describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { z } from 'zod'
import { loadConfig } from '../../src/config/load-config.ts'
import { parseDurationMs } from '../../src/config/scalars.ts'
import { composeMissing } from '../helpers/compose.ts'
import { skipUnless } from '../helpers/skips.ts'

const top = join(import.meta.dirname, '../..')
const secrets = { POSTGRES_PASSWORD: 'Password0', SHOP_WEBHOOK_SECRET: 'Secret0' }
const text = read('docker-compose.yml')

const Service = z.object({
  image: z.string(),
  command: z.union([z.string(), z.array(z.string())]).optional(),
  environment: z.record(z.string(), z.string()).default({}),
  healthcheck: z.object({ test: z.array(z.string()) }).optional(),
  networks: z.union([z.array(z.string()), z.record(z.string(), z.unknown())]).optional(),
  ports: z.array(z.unknown()).default([]),
  restart: z.string().optional(),
  stop_grace_period: z.string().optional(),
  user: z.string().optional(),
  volumes: z.array(z.string()).default([]),
})
const Compose = z.object({ services: z.record(z.string(), Service) })

const written = Compose.parse(parse(text, { merge: true }))
const ours = Object.entries(written.services).filter(([, { image }]) => image.startsWith('belay:'))

describe('what docker-compose makes of it', () => {
  beforeEach(() => {
    const missing = composeMissing()
    skipUnless(missing === undefined, missing ?? '')
  })

  it('is accepted, with every service of it', () => {
    const { status, stderr, stdout } = config(secrets)
    expect(stderr).toBe('')
    expect(status).toBe(0)
    expect(Object.keys(Compose.parse(parse(stdout)).services).toSorted()).toEqual(Object.keys(written.services).toSorted())
  })

  it.each(Object.keys(secrets))('is refused without %s, and says which', (name) => {
    const { status, stderr } = config({ ...secrets, [name]: '' })
    expect(status).not.toBe(0)
    expect(stderr).toContain('set it in .env')
    expect(stderr).toContain(name)
  })

  it('one port of the host is published: the server’s', () => {
    const { services } = Compose.parse(parse(config({ ...secrets, BELAY_PORT: '18080' }).stdout))
    const published = Object.entries(services).flatMap(([name, { ports }]) => ports.map((port) => [name, portOf(port)]))
    expect(published).toEqual([['server', '18080:8080']])
  })
})

it('no secret is in the file, and none has a default', () => {
  const secret = Object.values(written.services).flatMap(({ environment }) =>
    Object.entries(environment).filter(([name]) => /(?:PASSWORD|PWD|SECRET|TOKEN)$/.test(name)),
  )
  expect(secret.length).toBeGreaterThan(5)
  expect(secret.filter(([, value]) => !/^\$\{[A-Z_]+:\?[^}]+\}$/.test(value))).toEqual([])
  const inUrls = [...text.matchAll(/:\/\/[^:@/\s]+:([^@\s]*(?:\{[^}]*\})?)@/g)].map(([, password]) => password)
  expect(inUrls).toEqual(['${POSTGRES_PASSWORD:?set it in .env}'])
})

it('a runner has no secret but its token, and does not reach the databases', () => {
  const { environment, networks } = load('runner')
  expect(Object.keys(environment).toSorted()).toEqual(['BELAY_RUNNER_TOKEN_FILE', 'BELAY_URL', 'TEMPORAL_ADDRESS'])
  expect(networks).toEqual(['work'])
  expect(load('postgresql').networks).toEqual(['state'])
  expect(load('runner').volumes.filter((volume) => volume.startsWith('data:'))).toEqual([])
})

it('every image is pinned', () => {
  const images = Object.values(written.services).map(({ image }) => image)
  expect(images.filter((image) => !/^[a-z/-]+:\d+\.\d+(?:\.\d+)?(?:-[a-z0-9.-]+)?$/.test(image))).toEqual([])
  expect(/^ARG BASE=(.*)$/m.exec(read('Dockerfile'))?.[1]).toMatch(/^node:\d+-bookworm-slim$/)
})

it('Belay’s parts are these', () => {
  expect(ours.map(([name]) => name)).toEqual(['server', 'control', 'runner', 'deployer'])
})

it.each(ours)('%s asks itself how it is, comes back, and runs as nobody important', (name, service) => {
  expect(service.healthcheck?.test).toEqual(['CMD', 'belay', 'health', name])
  expect(service.command).toContain(name)
  expect(service.restart).toBe('unless-stopped')
  expect(service.user).toBeUndefined()
  // What it may take to stop in order, by src/cli/worker.ts and src/cli/worker/serve-roles.ts.
  expect(parseDurationMs(service.stop_grace_period ?? '')).toBeGreaterThan(name === 'deployer' ? 26_000 : 12_000)
})

it('the image’s user is a number, and not root’s', () => {
  const users = [...read('Dockerfile').matchAll(/^USER (.*)$/gm)].map(([, user]) => user)
  expect(users.at(-1)).toMatch(/^[1-9]\d*:[1-9]\d*$/)
})

it('the Dockerfile asks for nothing that the classic builder lacks', () => {
  expect(read('Dockerfile')).not.toMatch(/^#\s*syntax=|--mount=|<<|COPY --(?:chmod|link)|--checksum/m)
})

it('every file that is mounted is there', () => {
  const mounted = Object.values(written.services).flatMap(({ volumes }) => volumes.filter((volume) => volume.startsWith('./')))
  const files = mounted.map((volume) => volume.split(':')[0] ?? '')
  expect(files.length).toBeGreaterThan(0)
  expect(files.filter((file) => !existsSync(join(top, file)))).toEqual([])
})

it('its configuration is taken as it stands, and suits it', async () => {
  const file = join(top, 'examples/many-machines/belay.config.yml')
  const env = { ...secrets, BELAY_DATABASE_URL: 'postgresql://belay:x@postgresql:5432/belay' }
  const { config: loaded } = await loadConfig({ file, env, cwd: top })
  expect(loaded.listen).toEqual({ host: '0.0.0.0', port: 8080 })
  expect(loaded.temporal?.address).toBe(load('runner').environment['TEMPORAL_ADDRESS'])
  expect(loaded.database).toEqual({ url: env.BELAY_DATABASE_URL })
  expect(loaded.projects['shop']?.webhookSecrets).toEqual([secrets.SHOP_WEBHOOK_SECRET])
})

function config(env: Record<string, string>) {
  const path = { PATH: process.env['PATH'] ?? '', HOME: '/nonexistent' }
  // What is set wins over a developer's own .env, also where it is empty.
  const args = ['--file', join(top, 'docker-compose.yml'), 'config']
  return spawnSync('docker-compose', args, { cwd: top, env: { ...path, ...env }, encoding: 'utf8', timeout: 30_000 })
}

function load(name: string): z.infer<typeof Service> {
  const service = written.services[name]
  if (service === undefined) throw new Error(`there is no service ${name}`)
  return service
}

function portOf(port: unknown): string {
  if (typeof port === 'string') return port
  const { published, target } = z.object({ published: z.coerce.string(), target: z.coerce.string() }).parse(port)
  return `${published}:${target}`
}

function read(file: string): string {
  return readFileSync(join(top, file), 'utf8')
}
