/**
 * The image of the Dockerfile, built by a real engine, and Belay's services of docker-compose.yml run from it as they are
 * written there: a webhook becomes a served release, also after each of them was killed. Temporal and PostgreSQL are
 * processes of this machine, because their images cannot be pulled where tests run; hence the network of the host.
 */
import { randomBytes } from 'node:crypto'
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import { afterAll, beforeAll, beforeEach, expect, onTestFailed, test } from 'vitest'
import { parse } from 'yaml'
import { createClient, type Client } from '../../src/api/client.ts'
import type { RunDetail } from '../../src/api/run-schemas.ts'
import { isEndedRun } from '../../src/domain/run.ts'
import { findTemporal } from '../../src/embedded/temporal/find-temporal.ts'
import { startTemporal } from '../../src/embedded/temporal/start-temporal.ts'
import { buildBelayImage } from '../helpers/belay-image.ts'
import { composeMissing } from '../helpers/compose.ts'
import { debianMissing } from '../helpers/debian-base.ts'
import { engineMissing } from '../helpers/engine.ts'
import type { GitRepository } from '../helpers/git-repository.ts'
import { startGitServer, type GitServer } from '../helpers/git-server.ts'
import { postPush } from '../helpers/hook.ts'
import { postgresMissing, startPostgres, type Postgres } from '../helpers/postgres.ts'
import { findQuietPort } from '../helpers/quiet-port.ts'
import { sampleProgram } from '../helpers/sample-app.ts'
import { deploying } from '../helpers/scenario.ts'
import { skipUnless } from '../helpers/skips.ts'
import { until } from '../helpers/until.ts'

const top = join(import.meta.dirname, '../..')
const services = ['server', 'control', 'runner', 'deployer'] as const
type Service = (typeof services)[number]

const missing = engineMissing() ?? composeMissing() ?? debianMissing() ?? postgresMissing()
const name = `belay-test-${randomBytes(4).toString('hex')}`
const webhookSecret = randomBytes(24).toString('hex')
/** Undone in the opposite order, whatever happens. */
const undo: (() => Promise<unknown>)[] = []

let directory: string
let url: string
let edge: string
let client: Client
let temporal: OwnTemporal
let repository: GitRepository
/** Of the containers; they keep them when they are started again. */
let ids: Readonly<Record<Service, string>>

beforeAll(async () => {
  if (missing !== undefined) return
  directory = mkdtempSync(join(tmpdir(), 'belay-compose-'))
  chmodSync(directory, 0o755)
  undo.push(async () => rmSync(directory, { recursive: true, force: true }))
  await buildBelayImage(name, (step) => undo.push(step))
  temporal = await ownTemporal()
  const [postgres, git] = [await ownPostgres(), await ownGit()]
  repository = await git.createRepository('hello')
  await repository.commit({ files: { 'app.cjs': sampleProgram }, message: 'the first one' })
  url = `http://127.0.0.1:${String(await findQuietPort())}`
  edge = `http://127.0.0.1:${String(await findQuietPort())}`
  writeFileSync(join(directory, 'belay.config.yml'), configuration())
  writeFileSync(join(directory, 'compose.json'), await composition(await postgres.createDatabase()))
  undo.push(() => compose('down', '--volumes', '--timeout', '5'))
  await compose('up', '--detach', '--no-build')
  const found = await Promise.all(services.map(async (service) => [service, await findId(service)] as const))
  ids = Object.fromEntries(found) as Record<Service, string>
  await until('the server is ready', isServerReady)
  const { stdout: token } = await execa('docker', ['exec', ids.server, 'cat', 'data/admin-token'])
  client = createClient({ url, token })
}, 600_000)

afterAll(async () => {
  for (const step of undo.splice(0).reverse()) await step()
}, 180_000)

beforeEach(() => {
  skipUnless(missing === undefined, missing ?? '')
  onTestFailed(async () => {
    const { stdout } = await compose('logs', '--no-color', '--tail', '60')
    console.log(stdout)
  })
})

test('a signed webhook becomes a release that the deployer serves, and every part is healthy', async () => {
  const run = await push('1')
  expect(run.reason).toBeUndefined()
  expect(run.status).toBe('succeeded')
  expect(await servedVersion()).toBe('1')
  await everyPartIs('healthy')
})

test('no process of any part is root’s', async () => {
  for (const service of services) {
    // The engine asks the `ps` of its own host.
    const { stdout } = await execa('docker', ['top', ids[service], '-eo', 'uid,pid,args'])
    const uids = stdout
      .split('\n')
      .slice(1)
      .map((line) => line.trim().split(/\s+/)[0])
    expect(uids.length, stdout).toBeGreaterThanOrEqual(2)
    expect(new Set(uids), stdout).toEqual(new Set(['10001']))
  }
})

test('a runner has nothing of the server’s but its own token', async () => {
  const { stdout } = await execa('docker', ['exec', ids.runner, 'sh', '-c', 'ls /run/belay/runner-token; ls data; env'])
  expect(stdout).toContain('token')
  expect(stdout).not.toMatch(/admin-token|belay\.db|BELAY_DATABASE_URL|WEBHOOK_SECRET/)
})

test('after a SIGKILL of each part it comes back, serves what it served, and the next webhook is a release too', async () => {
  for (const service of services) await killMain(ids[service])
  await until('each was started again', async () => {
    const restarts = await Promise.all(services.map((service) => inspect(ids[service], '{{.RestartCount}}')))
    return restarts.every((count) => Number(count) === 1)
  })
  await until('the old release is served again', async () => (await servedVersion()) === '1')
  await until('the server is ready', isServerReady)
  const run = await push('2')
  expect(run.reason).toBeUndefined()
  expect(run.status).toBe('succeeded')
  expect(await servedVersion()).toBe('2')
  await everyPartIs('healthy')
})

test('with Temporal away no part calls itself healthy; with it back all do', async () => {
  await temporal.stop()
  await everyPartIs('unhealthy')
  expect(await logOfHealth('control')).toContain('control is not well: Temporal at')
  await temporal.start()
  await everyPartIs('healthy')
})

test('each part stops in order within its time', async () => {
  await compose('stop')
  const codes = await Promise.all(services.map((service) => inspect(ids[service], '{{.State.ExitCode}}')))
  expect(codes).toEqual(['0', '0', '0', '0'])
})

interface OwnTemporal {
  address: string
  /** Again, at the same address and with all it knew. */
  start(): Promise<void>
  stop(): Promise<void>
}

async function ownTemporal(): Promise<OwnTemporal> {
  const found = await findTemporal({ env: { ...process.env, TEMPORAL_ADDRESS: '' } })
  if (found.kind !== 'program') throw new Error('expected a program')
  const place = join(directory, 'temporal')
  mkdirSync(place)
  const begin = () => startTemporal({ program: found.file, directory: place, log: join(directory, 'temporal.log') })
  let server = await begin()
  undo.push(() => server.stop())
  return {
    address: server.address,
    async start() {
      server = await begin()
    },
    stop: () => server.stop(),
  }
}

async function ownPostgres(): Promise<Postgres> {
  const postgres = await startPostgres()
  undo.push(() => postgres.stop())
  return postgres
}

async function ownGit(): Promise<GitServer> {
  const git = await startGitServer()
  undo.push(() => git.stop())
  return git
}

function configuration(): string {
  return `listen: ${new URL(url).host}
temporal: { address: '${temporal.address}' }
database: { url: { from_env: BELAY_DATABASE_URL } }
projects:
  hello:
    repository: ${repository.url}
    webhook_secret: { from_env: SHOP_WEBHOOK_SECRET }
    environments: [production]
environments:
  production: { target: process, edge: { listen: '${new URL(edge).host}' } }
`
}

/** The real file's services, but for where everything else is reached. */
async function composition(databaseUrl: string): Promise<string> {
  const env = { POSTGRES_PASSWORD: 'unused', SHOP_WEBHOOK_SECRET: webhookSecret }
  const { stdout } = await execa('docker-compose', ['--file', join(top, 'docker-compose.yml'), 'config'], { env })
  const file = parse(stdout) as { version: string; volumes: Record<string, unknown>; services: Record<string, ComposeService> }
  const kept = services.map((service) => {
    const { build: _build, networks: _networks, ports: _ports, ...written } = file.services[service] ?? {}
    const after = Object.entries(written.depends_on ?? {}).filter(([other]) => services.some((ours) => ours === other))
    const environment: Record<string, string> = { ...written.environment, BELAY_URL: url }
    if ('TEMPORAL_ADDRESS' in environment) environment['TEMPORAL_ADDRESS'] = temporal.address
    if ('BELAY_DATABASE_URL' in environment) environment['BELAY_DATABASE_URL'] = databaseUrl.replaceAll('$', '$$$$')
    const volumes = (written.volumes ?? []).map((volume) =>
      volume.replace(/^.*:\/etc\/belay\//, `${directory}/belay.config.yml:/etc/belay/`),
    )
    const healthcheck = { ...written.healthcheck, interval: '2s' }
    const changed = { image: `${name}:image`, network_mode: 'host', depends_on: Object.fromEntries(after) }
    return [service, { ...written, ...changed, environment, volumes, healthcheck }]
  })
  // JSON is YAML.
  return JSON.stringify({ version: file.version, services: Object.fromEntries(kept), volumes: file.volumes })
}

interface ComposeService {
  depends_on?: Record<string, unknown>
  environment?: Record<string, string>
  volumes?: string[]
  healthcheck?: Record<string, unknown>
  [more: string]: unknown
}

async function compose(...args: string[]) {
  return execa('docker-compose', ['--project-name', name, '--file', join(directory, 'compose.json'), ...args])
}

async function findId(service: Service): Promise<string> {
  const { stdout } = await compose('ps', '--quiet', service)
  return stdout.trim()
}

async function inspect(id: string, format: string): Promise<string> {
  const { stdout } = await execa('docker', ['inspect', '--format', format, id])
  return stdout.trim()
}

/** What its health checks have printed lately. */
function logOfHealth(service: Service): Promise<string> {
  return inspect(ids[service], '{{range .State.Health.Log}}{{.Output}}{{end}}')
}

/** The program itself, not the container: for the engine it has crashed. */
async function killMain(id: string): Promise<void> {
  const find = 'grep -lE "^PPid:[[:space:]]1$" /proc/[0-9]*/status'
  const kill = 'for file in $(' + find + '); do file=${file%/status}; kill -KILL ${file#/proc/}; done'
  // It dies with what it kills.
  await execa('docker', ['exec', id, 'sh', '-c', kill], { reject: false })
}

async function everyPartIs(health: 'healthy' | 'unhealthy'): Promise<void> {
  for (const service of services) {
    await until(
      `${service} is ${health}`,
      async () => (await inspect(ids[service], '{{.State.Health.Status}}')) === health,
      120_000,
    )
  }
}

async function isServerReady(): Promise<boolean> {
  return fetch(`${url}/readyz`).then(
    ({ status }) => status === 200,
    () => false,
  )
}

async function servedVersion(): Promise<string | undefined> {
  return fetch(`${edge}/version`).then(
    (response) => response.text(),
    () => undefined,
  )
}

/** Commits a pipeline that packs the application and deploys it, posts the push, and gives the run at its end. */
async function push(version: string): Promise<RunDetail> {
  const before = '  look:\n    commands: [git --version, id -u]\n'
  const sha = await repository.commit({ files: { '.belay.yml': deploying({ version, before }) }, message: `version ${version}` })
  const { status, body } = await postPush({
    url: `${url}/hooks/hello`,
    secret: webhookSecret,
    sha,
    message: `version ${version}`,
  })
  expect(status, JSON.stringify(body)).toBe(202)
  const { id } = (body as { run: { id: string } }).run
  return until(
    'the run ends',
    async () => {
      const run = await client.getRun({ id }).catch(() => undefined) // A part that is not back yet.
      return run !== undefined && isEndedRun(run.status) ? run : undefined
    },
    180_000,
  )
}
