import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest'
import { startFaultyWire, type FaultyWire } from '../../../../test/helpers/faulty-wire.ts'
import { blobFile, writeImage } from '../../../../test/helpers/oci-image.ts'
import { registryMissing, startRegistry, type RunningRegistry } from '../../../../test/helpers/registry.ts'
import { skipUnless } from '../../../../test/helpers/skips.ts'
import { acquireHostLock } from '../../../process/host-lock.ts'
import { createRegistryClient } from '../../../registry/create-registry-client.ts'
import type { RegistryClient } from '../../../registry/registry.ts'
import { readImage, streamBlob } from './image-layout.ts'
import { ensurePulled } from './pull-image.ts'

let registry: RunningRegistry
let wire: FaultyWire
let base: string
let digest: string
let client: RegistryClient

beforeAll(async () => {
  if (registryMissing() !== undefined) return
  registry = await startRegistry()
})
afterAll(() => registry?.stop())

beforeEach(async () => {
  skipUnless(registryMissing() === undefined, registryMissing() ?? '')
  base = mkdtempSync(join(tmpdir(), 'belay-pull-'))
  wire = await startFaultyWire(registry.url)
  const limits = { attempts: 2, firstWaitMs: 1, silenceMs: 2_000 }
  client = createRegistryClient({ ...registry.access, url: wire.url }, { signal: new AbortController().signal, limits })
  digest = await pushSample(`content ${base}`)
})
afterEach(async () => {
  await wire?.close()
  if (base !== undefined) rmSync(base, { recursive: true, force: true })
})

/** Another machine's layout, pushed. */
async function pushSample(content: string): Promise<string> {
  const layout = `${base}/theirs`
  const image = await writeImage({ layout, layers: [[{ name: 'app/app.cjs', content }]], gzip: true })
  const bytes = readFileSync(blobFile(layout, image))
  const { config, layers } = JSON.parse(bytes.toString()) as Record<'config', Blob> & { layers: Blob[] }
  const direct = createRegistryClient(registry.access, { signal: new AbortController().signal })
  for (const blob of [config, ...layers]) {
    const open = (offset: number): AsyncIterable<Uint8Array> => once(readFileSync(blobFile(layout, blob.digest)).subarray(offset))
    await direct.pushBlob('shop/app', { digest: blob.digest, size: blob.size, open })
  }
  await direct.pushManifest('shop/app', image, { mediaType: 'application/vnd.oci.image.manifest.v1+json', bytes })
  return image
}

interface Blob {
  digest: string
  size: number
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield await Promise.resolve(bytes)
}

const pull = (signal = new AbortController().signal) =>
  ensurePulled({ connect: () => client, name: 'shop/app', digest, layout: `${base}/ours`, signal })
const blobs = (): string[] => (existsSync(`${base}/ours`) ? readdirSync(`${base}/ours/blobs/sha256`) : [])

it('brings an image whole, and asks nothing when it is there', async () => {
  await pull()
  const { layers } = await readImage(`${base}/ours`, digest)
  for (const layer of layers) for await (const chunk of streamBlob(`${base}/ours`, layer)) expect(chunk.length).toBeGreaterThan(0)
  const asked = wire.requests.length
  await pull()
  expect(wire.requests).toHaveLength(asked)
})

it('two at once both end well', async () => {
  await Promise.all([pull(), pull()])
  expect(blobs()).toHaveLength(3)
})

it('keeps nothing of a blob whose bytes are others, nor its manifest', async () => {
  wire.rules = [{ method: 'GET', path: '/blobs/', fault: { type: 'wrong_bytes' } }]
  await expect(pull()).rejects.toMatchObject({ code: 'mismatch' })
  expect(blobs()).toEqual([])
})

it('cut off in the middle leaves no half blob, and goes on the next time', async () => {
  wire.rules = [{ method: 'GET', path: '/blobs/', fault: { type: 'cut_answer', afterBytes: 10 } }]
  await expect(pull()).rejects.toMatchObject({ retryable: true })
  expect(blobs().filter((name) => name.startsWith('.'))).toEqual([])
  wire.rules = []
  await pull()
  for (const name of blobs()) {
    const content = readFileSync(`${base}/ours/blobs/sha256/${name}`)
    expect(createHash('sha256').update(content).digest('hex')).toBe(name)
  }
})

it('waits for whoever has the layout, and no longer than it may', async () => {
  mkdirSync(`${base}/ours`)
  const lock = acquireHostLock(`${base}/ours/.belay-lock`, 'the layout')
  await expect(pull(AbortSignal.timeout(500))).rejects.toMatchObject({ code: 'conflict' })
  expect(existsSync(blobFile(`${base}/ours`, digest))).toBe(false)
  setTimeout(() => lock.release(), 200)
  await pull()
  expect(existsSync(blobFile(`${base}/ours`, digest))).toBe(true)
})

it('says so when the registry has no such image', async () => {
  digest = `sha256:${'0'.repeat(64)}`
  await expect(pull()).rejects.toMatchObject({ code: 'not_found' })
})
