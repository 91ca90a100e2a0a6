/** `docker` and `buildah` on the same Dockerfiles, with a real engine and a real registry. Long because both run the same table with the same fixtures. */
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { execa } from 'execa'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { baseImages, ensureBaseImages } from '../../../test/helpers/base-images.ts'
import { cgroupsMissing, openTestGroups } from '../../../test/helpers/cgroups.ts'
import { engineMissing } from '../../../test/helpers/engine.ts'
import { registryMissing, startRegistry, type RunningRegistry } from '../../../test/helpers/registry.ts'
import { skipUnless } from '../../../test/helpers/skips.ts'
import { until } from '../../../test/helpers/until.ts'
import type { BuildDockerfile } from '../../domain/plan.ts'
import type { Image } from '../../domain/step.ts'
import { findIdentity, type ProcessIdentity } from '../../process/identity.ts'
import { createRegistryClient } from '../../registry/create-registry-client.ts'
import { buildah } from './buildah/buildah.ts'
import type { Builder, BuildImageInput } from './builder.ts'
import { chooseBuilder } from './choose-builder.ts'
import { docker } from './docker/docker.ts'

const env = { PATH: process.env['PATH'] ?? '', HOME: process.env['HOME'] ?? '/', ...engineOf(process.env) }
const missing = engineMissing() ?? registryMissing()
const password = 'canary-of-a-registry'
let registry: RunningRegistry
/** The Node image, where a builder without the engine can read it. */
let base: string
let directory: string
let workspace: string
let lines: string[]
let spawned: ProcessIdentity[]

beforeAll(async () => {
  if (missing !== undefined) return
  ;[registry] = await Promise.all([startRegistry({ auth: { username: 'ci', password } }), ensureBaseImages()])
  base = `${registry.host}/base/node:20`
  const config = mkdtempSync(join(tmpdir(), 'belay-docker-'))
  const auth = Buffer.from(`ci:${password}`).toString('base64')
  writeFileSync(join(config, 'config.json'), JSON.stringify({ auths: { [registry.host]: { auth } } }))
  await execa('docker', ['tag', baseImages.node, base])
  await execa('docker', ['push', base], { env: { DOCKER_CONFIG: config } })
  rmSync(config, { recursive: true })
}, 180_000)

afterAll(async () => {
  if (base !== undefined) await execa('docker', ['image', 'rm', base], { reject: false })
  await registry?.stop()
})

beforeEach(() => {
  skipUnless(missing === undefined, missing ?? '')
  directory = mkdtempSync(join(tmpdir(), 'belay-builder-'))
  workspace = join(directory, 'checkout')
  mkdirSync(workspace)
  lines = []
  spawned = []
  put('app.cjs', "console.log('built as ' + process.env.MODE)\n")
})
afterEach(() => {
  if (directory !== undefined) rmSync(directory, { recursive: true, force: true })
})

function put(file: string, text: string): void {
  writeFileSync(join(workspace, file), text)
}

/** How the `docker` program finds its engine. */
function engineOf(own: NodeJS.ProcessEnv): Record<string, string> {
  const { DOCKER_HOST } = own
  return DOCKER_HOST === undefined ? {} : { DOCKER_HOST }
}

const multiStage = `ARG BASE
FROM \${BASE} AS build
ARG MODE
COPY app.cjs /src/app.cjs
RUN mkdir -p /out && cp /src/app.cjs /out/app.cjs && echo "$MODE" > /out/mode
FROM \${BASE} AS server
COPY --from=build /out /app
ENV MODE=server
USER 10001
ENTRYPOINT ["node", "/app/app.cjs"]
FROM server AS last
ENV MODE=last
`

interface Change extends Partial<Omit<BuildDockerfile, 'secrets'>> {
  secrets?: Record<string, string>
  password?: string
  signal?: AbortSignal
}

function inputOf(
  builder: BuildDockerfile['builder'],
  { secrets = {}, password: other, signal, ...change }: Change = {},
): BuildImageInput {
  const scratch = mkdtempSync(join(directory, 'scratch-'))
  const build: BuildDockerfile = {
    ...{
      builder,
      repository: 'main/shop/app',
      registry: 'main',
      tags: ['v1'],
      labels: {},
      context: '.',
      dockerfile: 'Dockerfile',
    },
    ...{ args: { BASE: base }, secrets: {} },
    ...change,
  }
  return {
    ...{ build, workspace, images: join(directory, 'images'), scratch, secrets, env },
    registry: { ...registry.access, ...(other === undefined ? {} : { password: other }) },
    log: (line) => lines.push(line),
    spawned: (identity) => spawned.push(identity),
    signal: signal ?? new AbortController().signal,
  }
}

function buildBy(builder: Builder, change?: Change): Promise<Image> {
  return builder.build(inputOf(builder.name === 'pack' ? 'auto' : builder.name, change))
}

/** All that the registry holds of an image: configuration and layers, unpacked. */
async function everythingOf(image: Image): Promise<{ config: string; layers: Buffer }> {
  const client = createRegistryClient(registry.access, { signal: new AbortController().signal })
  const manifest = await client.findManifest('shop/app', image.digest)
  const { config, layers } = JSON.parse(manifest?.bytes.toString() ?? '') as {
    config: { digest: string }
    layers: { digest: string }[]
  }
  const read = async (digest: string): Promise<Buffer> => {
    const chunks: Uint8Array[] = []
    for await (const chunk of await client.readBlob('shop/app', digest)) chunks.push(chunk)
    return Buffer.concat(chunks)
  }
  const unpacked = await Promise.all(layers.map(async ({ digest }) => gunzipSync(await read(digest))))
  return { config: (await read(config.digest)).toString(), layers: Buffer.concat(unpacked) }
}

describe.each([
  { name: 'docker', builder: docker },
  { name: 'buildah', builder: buildah },
] as const)('the builder $name', ({ builder }) => {
  test(
    'builds a stage with arguments and labels, and gives the digest under which the registry has it',
    { timeout: 120_000 },
    async () => {
      put('Dockerfile', multiStage)
      const labels = {
        'org.opencontainers.image.revision': 'a'.repeat(40),
        'org.opencontainers.image.source': 'https://git.example/shop',
        'belay.run': 'run-1',
      }
      const image = await buildBy(builder, {
        target: 'server',
        args: { BASE: base, MODE: 'production' },
        labels,
        tags: ['v1', 'latest'],
      })
      expect(image).toMatchObject({ repository: 'main/shop/app', registry: 'main' })
      const client = createRegistryClient(registry.access, { signal: new AbortController().signal })
      for (const tag of ['v1', 'latest', image.digest])
        expect(await client.findManifest('shop/app', tag)).toMatchObject({ digest: image.digest })
      const { config } = JSON.parse((await everythingOf(image)).config) as {
        config: { Labels: unknown; Env: string[]; User: string }
      }
      expect(config).toMatchObject({ Labels: labels, User: '10001' })
      expect(config.Env).toContain('MODE=server')
      expect((await everythingOf(image)).layers.includes('production\n')).toBe(true)
      expect(lines.join('\n')).not.toContain(password)
    },
  )

  test('runs on the engine, by its digest', async () => {
    put('Dockerfile', multiStage)
    const image = await buildBy(builder)
    const config = mkdtempSync(join(directory, 'docker-'))
    writeFileSync(
      join(config, 'config.json'),
      JSON.stringify({ auths: { [registry.host]: { auth: Buffer.from(`ci:${password}`).toString('base64') } } }),
    )
    const name = `${registry.host}/shop/app@${image.digest}`
    const { stdout } = await execa('docker', ['run', '--rm', name], { env: { DOCKER_CONFIG: config }, reject: false })
    await execa('docker', ['image', 'rm', name], { reject: false })
    expect(stdout).toBe('built as last')
  })

  test('fails as the Dockerfile does, with its last words', async () => {
    put('Dockerfile', 'ARG BASE\nFROM ${BASE}\nRUN echo this is why && exit 3\n')
    await expect(buildBy(builder)).rejects.toMatchObject({ code: 'refused', message: expect.stringContaining('3') as string })
    expect(lines.join('\n')).toContain('this is why')
  })

  test('refuses a Dockerfile that is not there, and a context that leads out of the checkout', async () => {
    await expect(buildBy(builder)).rejects.toMatchObject({
      code: 'refused',
      message: expect.stringContaining('Dockerfile') as string,
    })
    put('Dockerfile', multiStage)
    symlinkSync('/etc', join(workspace, 'out'))
    await expect(buildBy(builder, { context: 'out' })).rejects.toMatchObject({ code: 'refused' })
    expect(spawned).toEqual([])
  })

  test('takes nothing from outside when the context becomes a link once the programs run', async () => {
    for (const [at, content] of [
      [join(workspace, 'ctx'), 'bytes of the inside'],
      [join(directory, 'foreign'), 'bytes from elsewhere'],
    ] as const) {
      mkdirSync(at)
      writeFileSync(join(at, 'Dockerfile'), 'FROM scratch\nCOPY content /content\n')
      writeFileSync(join(at, 'content'), content)
    }
    const input = inputOf(builder.name === 'pack' ? 'auto' : builder.name, { context: 'ctx', dockerfile: 'ctx/Dockerfile' })
    let swapped = false
    const spawnedFirst = (): void => {
      if (swapped) return
      swapped = true
      renameSync(join(workspace, 'ctx'), join(workspace, 'away'))
      symlinkSync(join(directory, 'foreign'), join(workspace, 'ctx'))
    }
    const { layers } = await everythingOf(await builder.build({ ...input, spawned: spawnedFirst }))
    expect(swapped).toBe(true)
    expect([layers.includes('bytes of the inside'), layers.includes('bytes from elsewhere')]).toEqual([true, false])
  })

  test('keeps executable bits and links, and leaves out what .dockerignore says', async () => {
    put('run.sh', '#!/bin/sh\necho ran as a program\n')
    chmodSync(join(workspace, 'run.sh'), 0o755)
    symlinkSync('run.sh', join(workspace, 'link'))
    put('left-out.txt', 'bytes that are left out')
    put('.dockerignore', '*.txt\n')
    put(
      'Dockerfile',
      'ARG BASE\nFROM ${BASE}\nCOPY . /ctx/\nRUN cd /ctx && ./link > ran && readlink link >> ran && ! test -e left-out.txt\n',
    )
    const { layers } = await everythingOf(await buildBy(builder))
    expect(layers.includes('ran as a program\nrun.sh\n')).toBe(true)
    expect(layers.includes('bytes that are left out')).toBe(false)
  })

  test('takes a Dockerfile from outside of the context', async () => {
    mkdirSync(join(workspace, 'ctx'))
    put('ctx/content', 'bytes of the context')
    put('Dockerfile', 'FROM scratch\nCOPY content /content\n')
    const { layers } = await everythingOf(await buildBy(builder, { context: 'ctx' }))
    expect(layers.includes('bytes of the context')).toBe(true)
  })

  test('with bad credentials names the registry, and never the password', async () => {
    put('Dockerfile', 'FROM scratch\nCOPY app.cjs /\n')
    const error: unknown = await buildBy(builder, { password: 'wrong-canary' }).catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({ code: 'refused', hint: expect.stringContaining('registries.main') as string })
    expect(`${String(error)}${lines.join('\n')}`).not.toContain('wrong-canary')
  })

  test('stopped in the middle leaves no process', async () => {
    put('Dockerfile', 'ARG BASE\nFROM ${BASE}\nRUN sleep 600\n')
    const abort = new AbortController()
    const building = buildBy(builder, { signal: abort.signal })
    const started = async (): Promise<void> => {
      while (!lines.some((line) => line.includes('sleep 600'))) await new Promise((resolve) => setTimeout(resolve, 50))
    }
    await Promise.race([started(), building])
    abort.abort(new Error('stopped by a person'))
    await expect(building).rejects.toThrow('stopped by a person')
    expect(spawned.filter(({ pid, startTime }) => findIdentity(pid)?.startTime === startTime)).toEqual([])
  })

  test('has its programs in the cgroup that it is given, and leaves nothing in it when it is stopped', async () => {
    const none = cgroupsMissing()
    skipUnless(none === undefined, none ?? '')
    put('Dockerfile', 'ARG BASE\nFROM ${BASE}\nRUN sleep 600\n')
    const opened = openTestGroups()
    try {
      const group = opened.groups.create('build')
      const abort = new AbortController()
      const name = builder.name === 'pack' ? 'auto' : builder.name
      const building = builder.build({ ...inputOf(name, { signal: abort.signal }), group })
      building.catch(() => undefined)
      await until('it runs', () => lines.some((line) => line.includes('sleep 600')))
      expect(group.members()).toContain(spawned.at(-1)?.pid)
      abort.abort(new Error('stopped by a person'))
      await expect(building).rejects.toThrow('stopped by a person')
      expect(group.members()).toEqual([])
    } finally {
      await opened.end()
    }
  })
})

describe('the engine', () => {
  /** Names that the engine has of what was built here. */
  const namesLeft = async (): Promise<string> => {
    const name = `${registry.host}/shop/app`
    return (await execa('docker', ['image', 'ls', '--filter', `reference=${name}`, '--format', '{{.Repository}}:{{.Tag}}']))
      .stdout
  }

  test('knows no name of a build afterwards, and the registry all of them', async () => {
    put('Dockerfile', 'FROM scratch\nCOPY app.cjs /\n')
    const image = await buildBy(docker, { tags: ['a'.repeat(40), 'main'] })
    expect(await namesLeft()).toBe('')
    const client = createRegistryClient(registry.access, { signal: new AbortController().signal })
    for (const tag of ['a'.repeat(40), 'main']) {
      expect(await client.findManifest('shop/app', tag)).toMatchObject({ digest: image.digest })
    }
  })

  test('knows none after a build that was stopped in its push, either', async () => {
    put('Dockerfile', 'FROM scratch\nCOPY app.cjs /\n')
    const abort = new AbortController()
    const input = inputOf('docker', { signal: abort.signal })
    const log = (line: string): void => {
      if (line.includes('The push refers to')) abort.abort(new Error('stopped by a person'))
    }
    await expect(docker.build({ ...input, log })).rejects.toThrow('stopped by a person')
    expect(await namesLeft()).toBe('')
  })
})

test('buildah refuses a Dockerfile that it would give to the C preprocessor', async () => {
  put('Dockerfile.in', 'FROM scratch\n#include "/etc/hostname"\n')
  await expect(buildBy(buildah, { dockerfile: 'Dockerfile.in' })).rejects.toMatchObject({
    code: 'refused',
    message: expect.stringContaining('preprocessor') as string,
  })
  expect(spawned).toEqual([])
})

describe('secrets of a build', () => {
  const secret = 'canary-of-a-build-secret'
  const dockerfile = 'ARG BASE\nFROM ${BASE}\nRUN --mount=type=secret,id=npm sha256sum /run/secrets/npm > /sum\n'

  test('are read by buildah, and end in no layer, no history and no log', async () => {
    put('Dockerfile', dockerfile)
    const image = await buildBy(buildah, { secrets: { npm: secret } })
    const { config, layers } = await everythingOf(image)
    expect(layers.includes('/run/secrets/npm')).toBe(true)
    expect(layers.includes(secret) || config.includes(secret) || lines.join('\n').includes(secret)).toBe(false)
  })

  test('are refused by an engine without buildx, with what to do', async () => {
    const buildx = await execa('docker', ['buildx', 'version'], { reject: false })
    skipUnless(buildx.exitCode !== 0 || process.env['CI'] === 'true', 'buildx is installed here')
    put('Dockerfile', dockerfile)
    await expect(buildBy(docker, { secrets: { npm: secret } })).rejects.toMatchObject({
      code: 'missing_part',
      hint: expect.stringContaining('buildah') as string,
    })
  })
})

describe('the builder `auto`', () => {
  test('is the first that can work here', async () => {
    expect((await chooseBuilder([docker, buildah], inputOf('auto'))).name).toBe('docker')
    const away = { ...inputOf('auto'), env: { ...env, DOCKER_HOST: 'unix:///nowhere/docker.sock' } }
    expect((await chooseBuilder([docker, buildah], away)).name).toBe('buildah')
  })

  test('says of each why it cannot, if none can', async () => {
    const nothing = { ...inputOf('auto'), env: { PATH: directory } }
    await expect(chooseBuilder([docker, buildah], nothing)).rejects.toMatchObject({
      code: 'missing_part',
      message: expect.stringMatching(/docker: .*not installed; buildah: .*not installed/) as string,
    })
  })
})

test('a registry away ends the build clearly', async () => {
  put('Dockerfile', 'FROM scratch\nCOPY app.cjs /\n')
  const away = { ...inputOf('docker'), registry: { ...registry.access, url: 'http://127.0.0.1:9' } }
  await expect(docker.build(away)).rejects.toMatchObject({ code: 'unavailable', retryable: true })
  expect(readFileSync(join(workspace, 'app.cjs'), 'utf8')).toContain('built as')
})
