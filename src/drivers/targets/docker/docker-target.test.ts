/** Against a real engine and a real registry, behind a real keeper. Long because each of them is started once for all of it. */
import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest'
import { baseImages, ensureBaseImages } from '../../../../test/helpers/base-images.ts'
import { pushAppImage, sweepEnvironment, sweepImages } from '../../../../test/helpers/docker-app-image.ts'
import { engineMissing } from '../../../../test/helpers/engine.ts'
import { filesThatContain } from '../../../../test/helpers/files-that-contain.ts'
import { startKeeperEdge, type KeeperEdge } from '../../../../test/helpers/keeper-edge.ts'
import { registryMissing, startRegistry, type RunningRegistry } from '../../../../test/helpers/registry.ts'
import { skipUnless } from '../../../../test/helpers/skips.ts'
import { createTraffic } from '../../../../test/helpers/traffic.ts'
import { until } from '../../../../test/helpers/until.ts'
import type { ReleaseRef } from '../../../domain/release.ts'
import type { Image } from '../../../domain/step.ts'
import type { RegistryAccess } from '../../../registry/registry.ts'
import type { Target } from '../target.ts'
import type { DockerEnvironment } from './docker-environment.ts'
import { placeName } from './container-name.ts'
import { createDockerTarget } from './docker-target.ts'

const missing = engineMissing() ?? registryMissing()
const password = 'canary-of-a-registry'
const secret = 'canary-of-a-secret'
const images = new Map<string, Image>()
let registry: RunningRegistry
let directory: string
let environment: string
let edge: KeeperEdge
let fence: number

beforeAll(async () => {
  if (missing !== undefined) return
  ;[registry] = await Promise.all([startRegistry({ auth: { username: 'ci', password } }), ensureBaseImages()])
  for (const version of ['1', '2', '3']) images.set(version, await pushAppImage(registry, { version }))
}, 180_000)
afterAll(async () => {
  if (registry === undefined) return
  await sweepImages(registry)
  await registry.stop()
})

beforeEach(async () => {
  skipUnless(missing === undefined, missing ?? '')
  directory = mkdtempSync(join(tmpdir(), 'belay-docker-target-'))
  environment = `test-${randomBytes(4).toString('hex')}`
  edge = await startKeeperEdge(directory, environment)
  fence = 0
})
afterEach(async () => {
  if (directory === undefined) return
  await edge?.stop()
  await sweepEnvironment(placeName(environment, 'test'))
  rmSync(directory, { recursive: true, force: true })
})

const ownEnv = {
  PATH: process.env['PATH'] ?? '',
  HOME: process.env['HOME'] ?? '/',
  DOCKER_HOST: process.env['DOCKER_HOST'] ?? '',
}

interface Change extends Partial<DockerEnvironment> {
  env?: Record<string, string>
  variables?: Record<string, string>
  registry?: RegistryAccess
}

function makeTarget({ env = ownEnv, variables = {}, registry: access = registry.access, ...settings }: Change = {}): Target {
  return createDockerTarget({
    edge: edge.control,
    scope: 'test',
    environments: { [environment]: { engine: { address: '127.0.0.1' }, instances: 1, pids: 64, ...settings } },
    registries: { main: access },
    directory: join(directory, 'target'),
    env,
    resolveEnv: () => Promise.resolve({ SECRET: secret, ...variables }),
  })
}

const operation = () => ({ environment, fence: ++fence, operationId: `operation ${String(fence)}` })

function releaseOf(version: string, image = images.get(version)): ReleaseRef {
  if (image === undefined) throw new Error(`no image of ${version}`)
  return { id: `release-${version}`, project: 'shop', number: 1, version, sha: 'c'.repeat(40), runId: 'run', image }
}

const beside = { alone: false }

async function stage(target: Target, release: ReleaseRef): Promise<string> {
  await target.stage(operation(), release, beside)
  return findRunning(target, release)
}

/** The address of its first instance, once that listens. */
async function findRunning(target: Target, { image }: ReleaseRef): Promise<string> {
  const [instance] = await target.listInstances(environment, image.digest)
  const url = instance?.url ?? ''
  await until('it listens', () => fetch(`${url}/version`).then(() => true, () => undefined)) // prettier-ignore
  return url
}

async function deploy(target: Target, version: string): Promise<ReleaseRef> {
  const release = releaseOf(version)
  await stage(target, release)
  await target.activate(operation(), release.image.digest)
  return release
}

async function containers(): Promise<string[]> {
  const filter = `label=belay.environment=${placeName(environment, 'test')}`
  const { stdout } = await execa('docker', ['container', 'ls', '--all', '--quiet', '--no-trunc', '--filter', filter])
  return stdout.split('\n').filter((id) => id !== '')
}

async function inspect(id: string | undefined): Promise<Inspected> {
  const { stdout } = await execa('docker', ['container', 'inspect', id ?? ''])
  return (JSON.parse(stdout) as Inspected[])[0] as Inspected
}
interface Inspected {
  Image: string
  Config: Record<string, unknown>
  HostConfig: Record<string, unknown>
}

function inside(id: string | undefined, ...command: string[]) {
  return execa('docker', ['exec', id ?? '', ...command], { reject: false })
}

/** Stages a release that comes to nothing, and gives the error. */
async function fault(target: Target, release: ReleaseRef): Promise<unknown> {
  const failed = await target.stage(operation(), release, beside).then(
    () => 'nothing was thrown',
    (error: unknown) => error,
  )
  expect(await containers()).toEqual([])
  return failed
}

function buildImage(version: string, options: { program?: string; lines?: string[] }): Promise<Image> {
  return pushAppImage(registry, { version, name: `shop/${version}`, ...options })
}

test('pulls the very digest and starts as many containers as were asked for, with the variables of the environment', async () => {
  const target = makeTarget({ instances: 2, variables: { FLAVOUR: 'rich', PORT: '1', HTTP_PROXY: 'http://proxy.invalid' } })
  const release = releaseOf('1')
  const url = await stage(target, release)
  const ask = async (path: string) => (await fetch(`${url}${path}`)).text()
  expect(await ask('/version')).toBe('1')
  expect(await ask('/env?name=SECRET')).toBe(secret)
  expect(await ask('/env?name=FLAVOUR')).toBe('rich')
  expect(await ask('/env?name=HTTP_PROXY')).toBe('http://proxy.invalid')
  expect(await ask('/env?name=PORT')).toBe('8080')
  const instances = await target.listInstances(environment, release.image.digest)
  expect(instances).toHaveLength(2)
  expect(new Set(instances.flatMap((instance) => [instance.id, instance.url])).size).toBe(4)
  expect(instances).toEqual(expect.arrayContaining([expect.objectContaining({ running: true })]))
  const reference = `${registry.host}/shop/app@${release.image.digest}`
  const { stdout } = await execa('docker', ['image', 'inspect', '--format', '{{.Id}} {{json .RepoDigests}}', reference])
  expect(stdout).toBe(`${(await inspect(instances[0]?.id)).Image} ["${reference}"]`)
})

test('a container has no right that it does not need', async () => {
  await stage(makeTarget({ memoryBytes: 64 * 1024 ** 2, pids: 30 }), releaseOf('1'))
  const [id] = await containers()
  const { Config, HostConfig } = await inspect(id)
  expect(Config).toMatchObject({ User: '65534:65534', StopTimeout: 10 })
  expect(HostConfig).toMatchObject({
    ...{
      ReadonlyRootfs: true,
      CapDrop: ['ALL'],
      CapAdd: null,
      SecurityOpt: ['no-new-privileges'],
      Privileged: false,
      Init: true,
    },
    ...{ Memory: 67_108_864, MemorySwap: 67_108_864, PidsLimit: 30, RestartPolicy: { Name: 'no', MaximumRetryCount: 0 } },
    LogConfig: { Type: 'json-file', Config: { 'max-size': '10m', 'max-file': '2' } },
  })
  expect((await inside(id, 'id', '-u')).stdout).toBe('65534')
  expect((await inside(id, 'touch', '/file')).stderr).toContain('Read-only file system')
  expect((await inside(id, 'touch', '/tmp/file')).exitCode).toBe(0)
  expect((await inside(id, 'grep', ' /tmp ', '/proc/mounts')).stdout).toMatch(/nosuid,nodev,noexec/)
  const status = (await inside(id, 'grep', '-E', 'NoNewPrivs|CapEff|CapBnd', '/proc/1/status')).stdout
  expect(status.replaceAll(/\s+/g, ' ')).toBe('CapEff: 0000000000000000 CapBnd: 0000000000000000 NoNewPrivs: 1')
  const many = 'for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31; do sleep 9 & done'
  expect((await inside(id, 'sh', '-c', many)).stderr).toContain("can't fork")
})

test("the image's own user is kept, and one that is root by another name is refused", async () => {
  const target = makeTarget()
  await stage(target, releaseOf('named', await buildImage('named', { lines: ['USER app'] })))
  const [id] = await containers()
  expect((await inside(id, 'id', '-u')).stdout).toBe('10001')
  await target.clear(operation())
  const lines = ['RUN echo toor:x:0:0:toor:/root:/bin/sh >> /etc/passwd', 'USER toor']
  const refused = await fault(target, releaseOf('toor', await buildImage('toor', { lines })))
  expect(refused).toMatchObject({ code: 'refused', message: expect.stringContaining('toor is user 0') as unknown })
  const unknown = await fault(target, releaseOf('nosuch', await buildImage('nosuch', { lines: ['USER nosuch'] })))
  expect(unknown).toMatchObject({ code: 'refused', message: expect.stringContaining('nosuch') as unknown })
})

const sneaky = (line: string) => `RUN printf '${line}\\n' >> /etc/passwd`
test.each([
  ['linked', ['RUN mv /etc/passwd /etc/users && ln -s users /etc/passwd', 'RUN echo sneaky:x:0:0 >> /etc/users']],
  ['worded', [sneaky('sneaky:x:zero:0')]],
  ['short', [sneaky('sneaky')]],
  ['shifted', [sneaky('  sneaky:x:0:0')]],
  ['wide', [sneaky('sneaky:x:4294967296:0')]],
])('a user that the engine would take for root, by a list that is %s, starts nothing', async (version, lines) => {
  const image = await buildImage(version, { lines: [...lines, 'USER sneaky'] })
  const refused = await fault(makeTarget(), releaseOf(version, image))
  expect(refused).toMatchObject({ code: 'refused', message: expect.stringContaining('sneaky is user 0') as unknown })
})

test('a user behind a link is found, and an image without a list of users has none', async () => {
  const target = makeTarget()
  const link = 'RUN mv /etc/passwd /etc/users && ln -s users /etc/passwd'
  await stage(target, releaseOf('behind', await buildImage('behind', { lines: [link, 'USER app'] })))
  const [id] = await containers()
  expect((await inside(id, 'id', '-u')).stdout).toBe('10001')
  await target.clear(operation())
  const none = await fault(target, releaseOf('none', await buildImage('none', { lines: ['RUN rm /etc/passwd', 'USER app'] })))
  expect(none).toMatchObject({ code: 'refused', message: expect.stringContaining('app has no number') as unknown })
})

test('credentials are in no argument, no container and no file, and the value of a secret in its container alone', async () => {
  const { path, calls } = await makeSpy('')
  const target = makeTarget({ env: { ...ownEnv, PATH: path }, variables: { DOCKER_TOKEN: `${secret}-2` } })
  const release = releaseOf('1', await buildImage('canary', {}))
  await stage(target, release)
  await target.activate(operation(), release.image.digest)
  const { stdout } = await execa('docker', ['container', 'inspect', ...(await containers())])
  expect(stdout).not.toContain(password)
  expect(stdout).not.toContain(Buffer.from(`ci:${password}`).toString('base64'))
  await target.clear(operation())
  expect(calls()).toContain('image pull')
  for (const word of [password, Buffer.from(`ci:${password}`).toString('base64'), secret]) {
    expect(calls()).not.toContain(word)
    expect(filesThatContain(join(directory, 'target'), word)).toEqual([])
  }
  expect(readdirSync(join(directory, 'target', 'calls'))).toEqual([])
})

test('what a killed deployer has left of its calls is removed by the next one', async () => {
  const left = join(directory, 'target', 'calls', '4194304-left')
  mkdirSync(left, { recursive: true })
  await stage(makeTarget(), releaseOf('2', await buildImage('left', {})))
  expect(existsSync(left)).toBe(false)
})

test('a registry that is down does not matter to an image that the engine has, and is worth another try for others', async () => {
  const own = await startRegistry()
  try {
    const here = await pushAppImage(own, { version: 'here' })
    const there = await pushAppImage(own, { version: 'there' })
    const target = makeTarget({ registry: own.access })
    await stage(target, releaseOf('here', here))
    await target.clear(operation())
    await own.stop()
    await stage(target, releaseOf('here', here))
    await target.clear(operation())
    expect(await fault(target, releaseOf('there', there))).toMatchObject({ code: 'unavailable', retryable: true })
  } finally {
    await sweepImages(own)
  }
})

test('an image that cannot be had is refused, and says what to do', async () => {
  const image = releaseOf('1').image
  const target = makeTarget()
  const { registry: _registry, ...local } = image
  expect(await fault(target, releaseOf('1', local))).toMatchObject({
    code: 'refused',
    hint: expect.stringMatching(/`repository`.*`NAME\/app`.*`registries\.NAME`/) as unknown,
  })
  expect(await fault(target, releaseOf('1', { ...image, registry: 'other' }))).toMatchObject({ code: 'refused', hint: expect.stringContaining('registries.other') as unknown }) // prettier-ignore
  const unknown = { ...image, digest: `sha256:${'0'.repeat(64)}` }
  expect(await fault(target, releaseOf('1', unknown))).toMatchObject({ code: 'not_found', retryable: false })
  const stranger = makeTarget({ registry: { ...registry.access, password: 'wrong' } })
  const refused = await fault(stranger, releaseOf('1', await buildImage('private', {})))
  expect(refused).toMatchObject({ code: 'refused', hint: expect.stringContaining('registries.main') as unknown })
})

test('one that is over its memory limit was killed for that, and says so', async () => {
  const program = `
    console.log('filling')
    const all = []
    setInterval(() => all.push(Buffer.alloc(8 * 1024 ** 2, 1)), 10)`
  const target = makeTarget({ memoryBytes: 64 * 1024 ** 2 })
  const release = releaseOf('hog', await buildImage('hog', { program }))
  await target.stage(operation(), release, beside)
  const ended = await until('it ends', async () => (await target.listInstances(environment, release.image.digest)).find(({ running }) => !running)) // prettier-ignore
  expect(ended).toMatchObject({ exit: 'was killed: over its memory limit of 64 MB', tail: 'filling\n' })
  const refused = await target.activate(operation(), release.image.digest).catch((error: unknown) => error)
  expect(refused).toMatchObject({ code: 'refused', message: expect.stringContaining('over its memory limit') as unknown })
})

test('a last line that is too long to be given whole is not given in part', async () => {
  const program = `process.stdout.write('x'.repeat(20_000), () => process.exit(3))`
  const target = makeTarget()
  const release = releaseOf('wordy', await buildImage('wordy', { program }))
  await target.stage(operation(), release, beside)
  const ended = await until('it ends', async () => (await target.listInstances(environment, release.image.digest)).find(({ running }) => !running)) // prettier-ignore
  expect(ended).toMatchObject({ exit: 'exited with code 3', tail: '' })
})

test('a staged one that died is seen as dead, and replaced by the next stage, which leaves the living one alone', async () => {
  const target = makeTarget({ instances: 2 })
  const release = releaseOf('1')
  const url = await stage(target, release)
  await fetch(`${url}/crash`).catch(() => undefined)
  const list = () => target.listInstances(environment, release.image.digest)
  await until('one is dead', async () => (await list()).some(({ running }) => !running))
  const [dead, living] = await list()
  expect(dead).toMatchObject({ running: false, exit: 'exited with code 7' })
  expect(dead?.tail).toContain('crashing as asked')
  await expect(target.activate(operation(), release.image.digest)).rejects.toMatchObject({ code: 'refused' })
  await target.stage(operation(), release, beside)
  const [replaced, same] = await list()
  expect(replaced).toMatchObject({ running: true })
  expect(replaced?.id).not.toBe(dead?.id)
  expect(same).toEqual(living)
})

test('once activated it is started again after a death, at the same address, and each death is seen once', async () => {
  const target = makeTarget()
  const { image } = await deploy(target, '1')
  const [before] = await target.listInstances(environment, image.digest)
  const exits = new Set<string | undefined>()
  for (let death = 1; death <= 2; death += 1) {
    await fetch(`${before?.url ?? ''}/crash`).catch(() => undefined)
    await until('it answers again', async () => {
      const [now] = await target.listInstances(environment, image.digest)
      exits.add(now?.exit)
      expect(now).toMatchObject({ id: before?.id, url: before?.url, running: true })
      return now?.exit?.includes(`${String(death)} time`) === true && fetch(`${before?.url ?? ''}/version`).then(() => true, () => undefined)
    }) // prettier-ignore
  }
  expect([...exits].filter((exit) => exit !== undefined)).toEqual([
    'ended and was started again by the engine, 1 time so far',
    'ended and was started again by the engine, 2 times so far',
  ])
  await execa('docker', ['restart', before?.id ?? ''])
  await until('it answers again', () => fetch(`${before?.url ?? ''}/version`).then(() => true, () => undefined)) // prettier-ignore
})

test('an instance that somebody has removed is told as one that is not there', async () => {
  const target = makeTarget({ instances: 2 })
  const { image } = await deploy(target, '1')
  const [first] = await target.listInstances(environment, image.digest)
  await execa('docker', ['rm', '--force', first?.id ?? ''])
  const instances = await target.listInstances(environment, image.digest)
  expect(instances.map(({ running, exit }) => ({ running, exit }))).toEqual([
    { running: true },
    { running: false, exit: 'is not there' },
  ])
})

test('a port that somebody else has is not insisted on', async () => {
  const port = 30_000 + 2_768 / 2
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  try {
    const target = makeTarget()
    vi.spyOn(Math, 'random').mockReturnValueOnce(0.5)
    const url = await stage(target, releaseOf('1'))
    expect(url).not.toContain(String(port))
    expect(await containers()).toHaveLength(1)
  } finally {
    server.close()
    vi.restoreAllMocks()
  }
})

test('an engine that is away, a program or a context that is missing, a full disk: each says what it is', async () => {
  const away = makeTarget({ engine: { host: `unix://${directory}/no.sock`, address: '127.0.0.1' } })
  await expect(away.observe(environment)).rejects.toMatchObject({ code: 'unavailable', retryable: true, message: expect.stringContaining(`${directory}/no.sock`) as unknown }) // prettier-ignore
  const missingProgram = makeTarget({ env: { ...ownEnv, PATH: directory } })
  await expect(missingProgram.observe(environment)).rejects.toMatchObject({ code: 'missing_part', hint: expect.stringContaining('Install') as unknown }) // prettier-ignore
  const noContext = makeTarget({ engine: { context: 'no-such-context', address: '127.0.0.1' } })
  await expect(noContext.observe(environment)).rejects.toMatchObject({ code: 'missing_part', message: expect.stringContaining('no-such-context') as unknown }) // prettier-ignore
  const words = 'Error response from daemon: write /var/lib/docker/tmp/x: no space left on device'
  const { path } = await makeSpy(`case "$1 $2" in 'image pull') echo '${words}' >&2; exit 1;; esac`)
  const full = makeTarget({ env: { ...ownEnv, PATH: path } })
  expect(await fault(full, releaseOf('1', await buildImage('full', {})))).toMatchObject({ code: 'unavailable', retryable: true, message: expect.stringContaining('disk') as unknown }) // prettier-ignore
})

test('takes over under traffic, goes back, and can be alone: no request fails but where it must', async () => {
  const target = makeTarget({ instances: 2 })
  await target.openEdges()
  expect((await fetch(edge.url)).status).toBe(503)
  const first = await deploy(target, '1')
  expect(await (await fetch(`${edge.url}/version`)).text()).toBe('1')
  const traffic = createTraffic(`${edge.url}/version`, 60)
  traffic.start()
  const seen = (version: string) => until(`${version} serves`, async () => (await (await fetch(`${edge.url}/version`)).text()) === version) // prettier-ignore
  const second = releaseOf('2')
  for (const round of [1, 2]) {
    await stage(target, second)
    expect(await target.activate(operation(), second.image.digest)).toEqual({ previousDigest: first.image.digest })
    await seen('2')
    if (round === 1) await target.retire(operation())
    await stage(target, first)
    expect(await target.activate(operation(), first.image.digest)).toEqual({ previousDigest: second.image.digest })
    await seen('1')
    await target.retire(operation())
  }
  const { served, failed, failures, versions } = await traffic.stop()
  expect({ failed, failures }).toEqual({ failed: 0, failures: [] })
  expect(served).toBeGreaterThan(0)
  expect(Object.keys(versions).sort()).toEqual(['1', '2']) // prettier-ignore
  expect((await target.traffic(environment, first.image.digest)).requests).toBeGreaterThan(0)
  expect(await target.traffic(environment, second.image.digest)).toMatchObject({ errors: 0 })

  await target.stage(operation(), second, { alone: true })
  expect(await target.observe(environment)).toEqual({ running: [second.image.digest], fence })
  expect((await fetch(edge.url)).status).toBe(503)
  await findRunning(target, second)
  await target.activate(operation(), second.image.digest)
  expect(await (await fetch(`${edge.url}/version`)).text()).toBe('2')
  await target.clear(operation())
  expect((await fetch(edge.url)).status).toBe(503)
  expect(await containers()).toEqual([])
})

test('a request under way ends before its container does', async () => {
  const target = makeTarget()
  await deploy(target, '1')
  const slow = fetch(`${edge.url}/slow?ms=3000`).then((response) => response.text())
  await deploy(target, '2')
  await target.retire(operation())
  expect(await slow).toBe('1')
  expect(await containers()).toHaveLength(1)
})

test('what has stopped and cannot be removed keeps no release from its place, and is removed by a later operation', async () => {
  const marked = 'container is marked for removal and cannot be "update"'
  const { path } = await makeSpy(`
    fail() { echo "Error response from daemon: $1" >&2; exit 1; }
    [ ! -e '${directory}/busy' ] || case "$1 $2" in
      'container rm') : > '${directory}/marked'; fail 'failed to remove root filesystem: device or resource busy';;
      'container update') [ ! -e '${directory}/marked' ] || fail '${marked}';;
      'container logs') [ ! -e '${directory}/marked' ] || fail 'can not get logs from container which is dead or marked for removal';;
    esac`)
  const target = makeTarget({ env: { ...ownEnv, PATH: path } })
  const first = await deploy(target, '1')
  const second = await deploy(target, '2')
  writeFileSync(join(directory, 'busy'), '')
  for (const _ of ['stops it', 'tries to remove it again']) await target.retire(operation())
  expect(await containers()).toHaveLength(2)
  const logs = join(directory, 'target', 'logs', placeName(environment, 'test'))
  expect(readdirSync(logs).map((name) => readFileSync(join(logs, name), 'utf8'))).toEqual(['listening as 1\n'])
  expect(await target.observe(environment)).toMatchObject({ servingDigest: second.image.digest, running: [second.image.digest] })
  expect(await target.listInstances(environment, first.image.digest)).toEqual([])
  rmSync(join(directory, 'busy'))
  await target.retire(operation())
  expect(await containers()).toHaveLength(1)
})

test('what was started before the address of the engine changed is still reached where it is, and traffic goes back to it', async () => {
  const first = await deploy(makeTarget(), '1')
  const moved = makeTarget({ engine: { address: '127.0.0.2' } })
  const second = await deploy(moved, '2')
  expect(await (await fetch(`${edge.url}/version`)).text()).toBe('2')
  const [old] = await moved.listInstances(environment, first.image.digest)
  const [now] = await moved.listInstances(environment, second.image.digest)
  expect([old?.url, now?.url].map((url) => new URL(url ?? '').hostname)).toEqual(['127.0.0.1', '127.0.0.2'])
  await moved.stage(operation(), first, beside)
  await moved.activate(operation(), first.image.digest)
  expect(await (await fetch(`${edge.url}/version`)).text()).toBe('1')
})

test('no other environment is known here', async () => {
  await expect(makeTarget().observe('elsewhere')).rejects.toMatchObject({ code: 'not_found' })
})

test('keeps the logs of what was retired, for its owner alone, and the newest twenty', async () => {
  const target = makeTarget()
  const logs = join(directory, 'target', 'logs', placeName(environment, 'test'))
  mkdirSync(logs, { recursive: true })
  for (let old = 0; old < 25; old += 1)
    writeFileSync(join(logs, `2020-01-01T00-00-${String(old).padStart(2, '0')}.000Z-x.log`), '')
  const first = await deploy(target, '1')
  const second = await deploy(target, '2')
  await target.retire(operation())
  expect(await target.listInstances(environment, first.image.digest)).toEqual([])
  expect(await target.observe(environment)).toMatchObject({ servingDigest: second.image.digest, running: [second.image.digest] })
  const files = readdirSync(logs).sort()
  expect(files).toHaveLength(20)
  const kept = join(logs, files.at(-1) ?? '')
  expect(readFileSync(kept, 'utf8')).toBe('listening as 1\n')
  expect(statSync(kept).mode & 0o777).toBe(0o600)
})

test('removes images that nothing needs any more, but for the last few and those that it did not pull', async () => {
  const target = makeTarget()
  const strangers = `${registry.host}/shop/strangers:1`
  await execa('docker', ['tag', baseImages.busybox, strangers])
  for (const version of ['p1', 'p2', 'p3', 'p4']) {
    await target.stage(operation(), releaseOf(version, await buildImage(version, {})), beside)
    await target.retire(operation())
  }
  const { stdout } = await execa('docker', ['image', 'ls', '--digests', '--format', '{{.Repository}}'])
  const left = stdout.split('\n').filter((name) => name.startsWith(registry.host) && /(?:p\d|strangers)$/.test(name))
  expect(left.sort()).toEqual(['p2', 'p3', 'p4', 'strangers'].map((name) => `${registry.host}/shop/${name}`)) // prettier-ignore
})

/** A `docker` that writes down its arguments, and does what the script says before it becomes the real one. */
async function makeSpy(script: string): Promise<{ path: string; calls: () => string }> {
  const bin = mkdtempSync(join(directory, 'bin-'))
  const { stdout: real } = await execa('sh', ['-c', 'command -v docker'])
  const text = `#!/bin/sh\nprintf '%s\\n' "$*" >> '${bin}/calls'\n${script}\nexec '${real}' "$@"\n`
  writeFileSync(join(bin, 'docker'), text, { mode: 0o755 })
  return { path: `${bin}:${ownEnv.PATH}`, calls: () => readFileSync(join(bin, 'calls'), 'utf8') }
}
