/** `pack` and a real registry: what is pushed, what is not pushed again, and who else can read it. */
import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { startFaultyWire, type FaultyWire } from '../../../../test/helpers/faulty-wire.ts'
import { registryMissing, startRegistry, type RunningRegistry } from '../../../../test/helpers/registry.ts'
import { skipUnless } from '../../../../test/helpers/skips.ts'
import type { PackImage } from '../../../domain/plan.ts'
import type { Image } from '../../../domain/step.ts'
import { pack } from './pack.ts'

const missing = registryMissing()
const credentials = { username: 'ci', password: 'canary-of-a-push' }
let registry: RunningRegistry
let wire: FaultyWire
let directory: string
let lines: string[]

beforeAll(async () => {
  if (missing === undefined) registry = await startRegistry({ auth: credentials })
})
afterAll(async () => {
  await registry?.stop()
})
beforeEach(async (context) => {
  skipUnless(missing === undefined, missing ?? '')
  directory = await mkdtemp(join(tmpdir(), 'belay-push-'))
  context.onTestFinished(() => rm(directory, { recursive: true, force: true }))
  wire = await startFaultyWire(registry.url)
  context.onTestFinished(() => wire.close())
  lines = []
  await mkdir(join(directory, 'checkout/dist'), { recursive: true })
  await mkdir(join(directory, 'checkout/data'), { recursive: true })
  // Random, so that no other test has brought them there.
  await writeFile(join(directory, 'checkout/dist/server.js'), `// ${randomBytes(16).toString('hex')}`)
  await writeFile(join(directory, 'checkout/data/large'), randomBytes(400_000))
})

const standard: PackImage = {
  builder: 'pack',
  repository: 'main/shop/app',
  registry: 'main',
  tags: ['v1', 'latest'],
  files: { 'dist/': '/app/dist', 'data/': '/app/data' },
  entrypoint: ['node', '/app/dist/server.js'],
  labels: { 'org.opencontainers.image.revision': 'abc', a: '1' },
}

function build(change: Partial<PackImage> = {}, images = 'images'): Promise<Image> {
  return pack.build({
    build: { ...standard, ...change },
    ...{ workspace: join(directory, 'checkout'), images: join(directory, images), scratch: directory, secrets: {}, env: {} },
    registry: { name: 'main', url: wire.url, ...credentials },
    signal: new AbortController().signal,
    log: (line) => lines.push(line),
    spawned: () => undefined,
  })
}

/** What changed something in the registry. */
function sent(): string[] {
  return wire.requests
    .filter((request) => !/^(GET|HEAD) /.test(request))
    .map((request) => request.replace(/uploads\/.+/, 'uploads/'))
}

test('an image is pushed by digest and by its tags, manifests after blobs, tags after the digest', async () => {
  const image = await build()
  expect(image).toEqual({ repository: 'main/shop/app', digest: image.digest, registry: 'main' })
  const manifests = sent().filter((request) => request.includes('/manifests/'))
  const base = 'PUT /v2/shop/app/manifests'
  const bill = `${image.digest.replace(':', '-')}.sbom`
  expect(manifests).toEqual([`${base}/${image.digest}`, `${base}/v1`, `${base}/latest`, `${base}/${bill}`])
  const firstManifest = sent().indexOf(manifests[0] ?? '')
  // Two layers and a configuration.
  expect(
    sent()
      .slice(0, firstManifest)
      .filter((request) => request.startsWith('PUT ')),
  ).toHaveLength(3)
  expect(lines.join('\n')).not.toContain(credentials.password)
  expect(lines).toContainEqual(expect.stringContaining(`tagged ${bill}`))
})

test('the same files and labels give the same digest, and nothing of them is sent twice', async () => {
  const first = await build()
  wire.received = {}
  wire.requests.length = 0
  // Another runner, with the labels in another order.
  expect(await build({ labels: { a: '1', 'org.opencontainers.image.revision': 'abc' } }, 'elsewhere')).toEqual(first)
  expect(sent().filter((request) => request.includes('/blobs/'))).toEqual([])
  expect(wire.received['PATCH']).toBeUndefined()
  expect((await build({ labels: { a: '2' } })).digest).not.toBe(first.digest)
})

test('a push that broke off in its second layer sends only the rest when it is done again, and left no tag', async () => {
  const tag = `t${randomBytes(4).toString('hex')}`
  wire.rules = [{ method: 'PATCH', path: '/blobs/uploads/', fault: { type: 'status', status: 403 } }]
  await expect(build({ tags: [tag], files: { 'dist/': '/app/dist' } })).rejects.toMatchObject({ code: 'refused' })
  wire.rules = []
  await build({ tags: ['half'], files: { 'dist/': '/app/dist' } })
  const before = wire.received['PATCH'] ?? 0
  wire.rules = [{ method: 'PATCH', path: '/blobs/uploads/', fault: { type: 'status', status: 403 } }]
  await expect(build({ tags: [tag] })).rejects.toMatchObject({
    code: 'refused',
    hint: expect.stringContaining('registries.main') as string,
  })
  expect(await statusOf(`/v2/shop/app/manifests/${tag}`)).toBe(404)
  wire.rules = []
  wire.requests.length = 0
  await build({ tags: [tag] })
  expect(await statusOf(`/v2/shop/app/manifests/${tag}`)).toBe(200)
  expect(before).toBeGreaterThan(0)
  // The second layer, the configuration and the list of files; neither the first layer nor the empty configuration of the list.
  expect(sent().filter((request) => request.startsWith('POST '))).toHaveLength(3)
})

test('lists every file with its digests, next to the image on disk and as an artifact of the image in the registry', async () => {
  const image = await build()
  const hex = image.digest.slice('sha256:'.length)
  const file = join(directory, 'images/main/shop/app/sbom', `${hex}.spdx.json`)
  const text = readFileSync(file, 'utf8')
  expect(JSON.parse(text)).toMatchObject({
    spdxVersion: 'SPDX-2.3',
    creationInfo: { created: '1970-01-01T00:00:00Z' },
    documentNamespace: expect.stringContaining(image.digest) as string,
    packages: [
      {
        versionInfo: 'abc',
        packageVerificationCode: { packageVerificationCodeValue: expect.stringMatching(/^[0-9a-f]{40}$/) as string },
      },
    ],
    files: [{ fileName: './app/dist/server.js' }, { fileName: './app/data/large' }],
  })
  const raw = await ask(`/v2/shop/app/manifests/sha256-${hex}.sbom`)
  const manifest = (await raw.json()) as { layers: { digest: string }[] }
  expect(manifest).toMatchObject({ artifactType: 'application/spdx+json', subject: { digest: image.digest } })
  expect(await (await ask(`/v2/shop/app/blobs/${manifest.layers[0]?.digest ?? ''}`)).text()).toBe(text)
})

test('a name that is a registry alone is refused, and nothing is pushed', async () => {
  await expect(build({ repository: 'main' })).rejects.toMatchObject({ code: 'refused' })
  expect(wire.requests).toEqual([])
})

test('other tools read what was pushed', async () => {
  const found = (process.env['PATH'] ?? '').split(':').some((place) => existsSync(join(place, 'skopeo')))
  skipUnless(found, 'skopeo is not installed: apt-get install skopeo')
  const image = await build()
  const auth = Buffer.from(`${credentials.username}:${credentials.password}`).toString('base64')
  const authFile = join(directory, 'auth.json')
  await writeFile(authFile, JSON.stringify({ auths: { [registry.host]: { auth } } }), { mode: 0o600 })
  const name = `docker://${registry.host}/shop/app:v1`
  const { stdout } = await promisify(execFile)('skopeo', ['inspect', '--authfile', authFile, '--tls-verify=false', name])
  expect(JSON.parse(stdout)).toMatchObject({ Digest: image.digest, Labels: standard.labels })
  const copy = ['copy', '--insecure-policy', '--authfile', authFile, '--src-tls-verify=false', name]
  await promisify(execFile)('skopeo', [...copy, `dir:${join(directory, 'copied')}`])
  expect(existsSync(join(directory, 'copied/manifest.json'))).toBe(true)
})

function ask(path: string): Promise<Response> {
  const authorization = `Basic ${Buffer.from(`${credentials.username}:${credentials.password}`).toString('base64')}`
  return fetch(`${registry.url}${path}`, { headers: { authorization, accept: 'application/vnd.oci.image.manifest.v1+json' } })
}

async function statusOf(path: string): Promise<number> {
  const answer = await ask(path)
  await answer.body?.cancel()
  return answer.status
}
