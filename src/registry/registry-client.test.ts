// Long because it tries every fault of the wire on every operation.
/** The client on a real registry, over a wire that breaks: how each break ends. */
import { createHash, randomBytes } from 'node:crypto'
import { createServer } from 'node:http'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { startFaultyWire, type FaultyWire, type WireFault } from '../../test/helpers/faulty-wire.ts'
import { registryMissing, startRegistry, type RunningRegistry } from '../../test/helpers/registry.ts'
import { skipUnless } from '../../test/helpers/skips.ts'
import { BelayError } from '../domain/errors.ts'
import { createRegistryClient } from './create-registry-client.ts'
import type { PushBlob, RegistryAccess, RegistryClient } from './registry.ts'

const missing = registryMissing()
const credentials = { username: 'ci', password: 'canary-of-a-password' }
let registry: RunningRegistry
let wire: FaultyWire

beforeAll(async () => {
  if (missing === undefined) registry = await startRegistry({ auth: credentials })
})
afterAll(async () => {
  await registry?.stop()
})
beforeEach(async (context) => {
  skipUnless(missing === undefined, missing ?? '')
  wire = await startFaultyWire(registry.url)
  context.onTestFinished(() => wire.close())
})

const limits = { attempts: 4, silenceMs: 300, firstWaitMs: 10, mostWaitMs: 100 }
const oci = 'application/vnd.oci.image.manifest.v1+json'

function clientOf(access: Partial<RegistryAccess> = {}, lines: string[] = []): RegistryClient {
  const { signal } = new AbortController()
  return createRegistryClient(
    { name: 'main', url: wire.url, ...credentials, ...access },
    { signal, limits, log: (line) => lines.push(line) },
  )
}

function digestOf(bytes: Buffer): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`
}

function blobOf(bytes: Buffer): PushBlob & { opened: number[] } {
  const opened: number[] = []
  async function* open(offset: number): AsyncGenerator<Uint8Array> {
    opened.push(offset)
    for (let at = offset; at < bytes.length; at += 64 * 1024) yield await Promise.resolve(bytes.subarray(at, at + 64 * 1024))
  }
  return { digest: digestOf(bytes), size: bytes.length, open, opened }
}

async function pushManifest(client: RegistryClient, repository: string, reference?: string) {
  const config = blobOf(Buffer.from(JSON.stringify({ architecture: 'amd64', os: 'linux', made: randomBytes(8).toString('hex') })))
  await client.pushBlob(repository, config)
  const text = {
    schemaVersion: 2,
    mediaType: oci,
    config: { mediaType: 'application/vnd.oci.image.config.v1+json', digest: config.digest, size: config.size },
    layers: [],
  }
  const bytes = Buffer.from(JSON.stringify(text))
  return client.pushManifest(repository, reference ?? digestOf(bytes), { mediaType: oci, bytes })
}

async function readAll(bytes: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  for await (const chunk of bytes) chunks.push(chunk)
  return Buffer.concat(chunks)
}

async function endOf(work: Promise<unknown>): Promise<string> {
  try {
    await work
    return 'good'
  } catch (error) {
    if (!(error instanceof BelayError)) throw error
    if (`${error.message}${error.hint ?? ''}`.includes(credentials.password))
      throw new Error('the error tells the password', { cause: error })
    return `${error.code}${error.retryable ? ', may be tried again' : ''}`
  }
}

describe('a registry', () => {
  test('takes a blob and a manifest, and gives them back by digest and by tag', async () => {
    const client = clientOf()
    const bytes = randomBytes(300_000)
    const blob = blobOf(bytes)
    expect(await client.pushBlob('shop/app', blob)).toBe('uploaded')
    expect(await client.pushBlob('shop/app', blob)).toBe('there')
    expect(blob.opened).toEqual([0])
    expect(await readAll(await client.readBlob('shop/app', blob.digest))).toEqual(bytes)
    const pushed = await pushManifest(client, 'shop/app', 'v1')
    expect(await client.findManifest('shop/app', 'v1')).toMatchObject({ digest: pushed.digest, mediaType: oci })
    expect(await client.findManifest('shop/app', pushed.digest)).toMatchObject({ digest: pushed.digest })
    expect(await client.findManifest('shop/app', 'v2')).toBeUndefined()
  })

  test('mounts a blob that another repository has', async () => {
    const client = clientOf()
    const blob = blobOf(randomBytes(1000))
    await client.pushBlob('shop/one', blob)
    expect(await client.pushBlob('shop/two', { ...blob, mountFrom: 'shop/one' })).toBe('mounted')
    expect(blob.opened).toEqual([0])
  })

  test('that turns us away is told by its name, at the first attempt', async () => {
    const error: unknown = await clientOf({ password: 'wrong-canary' })
      .hasBlob('shop/app', digestOf(Buffer.from('x')))
      .catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({ code: 'refused', hint: expect.stringContaining('registries.main') as string })
    expect(String(error)).not.toContain('wrong-canary')
    expect(wire.requests).toHaveLength(2)
  })

  test('on another machine is reached by https only', () => {
    expect(() => clientOf({ url: 'http://registry.example' })).toThrow('not reached by https')
  })

  test('gets no credentials but its own', async () => {
    const stranger = await startFaultyWire(registry.url)
    try {
      wire.rules.push({ method: 'GET', path: '/blobs/', fault: { type: 'status', status: 401 } })
      // Without a challenge there is nobody to tell who we are.
      expect(await endOf(clientOf().readBlob('shop/app', digestOf(Buffer.from('x'))))).toBe('refused')
      expect(stranger.requests).toEqual([])
    } finally {
      await stranger.close()
    }
  })
})

describe('over a faulty wire', () => {
  const rows: string[][] = []
  afterAll(() => {
    if (rows.length > 0) process.stdout.write(table([['operation: fault', 'happens', 'requests', 'ended'], ...rows]))
  })

  interface Case {
    name: string
    method: string
    path: string
    fault: WireFault
    once: string
    always: string
  }
  const again = 'unavailable, may be tried again'
  const pushes: Case[] = [
    { name: 'push: reset', method: 'PATCH', path: '/blobs/uploads/', fault: { type: 'reset' }, once: 'good', always: again },
    { name: 'push: hang', method: 'POST', path: '/blobs/uploads/', fault: { type: 'hang' }, once: 'good', always: again },
    {
      name: 'push: cut in mid-blob',
      method: 'PATCH',
      path: '/blobs/uploads/',
      fault: { type: 'cut_upload', afterBytes: 200_000 },
      once: 'good',
      always: again,
    },
    {
      name: 'push: hang in mid-blob',
      method: 'PATCH',
      path: '/blobs/uploads/',
      fault: { type: 'hang_upload', afterBytes: 200_000 },
      once: 'good',
      always: again,
    },
    {
      name: 'push: 429',
      method: 'POST',
      path: '/blobs/uploads/',
      fault: { type: 'status', status: 429, retryAfter: '0' },
      once: 'good',
      always: again,
    },
    {
      name: 'push: 500',
      method: 'PUT',
      path: '/blobs/uploads/',
      fault: { type: 'status', status: 500 },
      once: 'good',
      always: again,
    },
    {
      name: 'push: other bytes arrive',
      method: 'PATCH',
      path: '/blobs/uploads/',
      fault: { type: 'wrong_upload' },
      once: 'good',
      always: again,
    },
  ]
  const reads: Case[] = [
    { name: 'read: reset', method: 'GET', path: '/blobs/', fault: { type: 'reset' }, once: 'good', always: again },
    { name: 'read: hang', method: 'GET', path: '/blobs/', fault: { type: 'hang' }, once: 'good', always: again },
    {
      name: 'read: cut in mid-blob',
      method: 'GET',
      path: '/blobs/',
      fault: { type: 'cut_answer', afterBytes: 100_000 },
      once: again,
      always: again,
    },
    {
      name: 'read: hang in mid-blob',
      method: 'GET',
      path: '/blobs/',
      fault: { type: 'hang_answer', afterBytes: 100_000 },
      once: again,
      always: again,
    },
    { name: 'read: 429', method: 'GET', path: '/blobs/', fault: { type: 'status', status: 429 }, once: 'good', always: again },
    { name: 'read: 500', method: 'GET', path: '/blobs/', fault: { type: 'status', status: 500 }, once: 'good', always: again },
    {
      name: 'read: wrong digest',
      method: 'GET',
      path: '/blobs/',
      fault: { type: 'wrong_bytes' },
      once: 'mismatch',
      always: 'mismatch',
    },
  ]

  async function tried(row: Case, times: number | undefined, work: () => Promise<unknown>): Promise<string> {
    wire.rules = [{ ...row, ...(times === undefined ? {} : { times }) }]
    const before = wire.requests.length
    const ended = await endOf(work())
    const requests = String(wire.requests.length - before)
    rows.push([row.name, times === undefined ? 'always' : 'once', requests, ended])
    return ended
  }

  test.each(pushes)('$name: mended if it happens once, bounded and clear if always, and nothing half is there', async (row) => {
    const client = clientOf()
    const bytes = randomBytes(500_000)
    const blob = blobOf(bytes)
    expect(await tried(row, undefined, () => client.pushBlob('shop/faulty', blob))).toBe(row.always)
    wire.rules = []
    expect(await client.hasBlob('shop/faulty', blob.digest)).toBe(false)
    expect(await tried(row, 1, () => client.pushBlob('shop/faulty', blob))).toBe(row.once)
    wire.rules = []
    expect(await readAll(await client.readBlob('shop/faulty', blob.digest))).toEqual(bytes)
  })

  test.each(reads)('$name: what is read is right, or an error', async (row) => {
    const client = clientOf()
    const blob = blobOf(randomBytes(500_000))
    await client.pushBlob('shop/faulty', blob)
    const read = async (): Promise<unknown> => readAll(await client.readBlob('shop/faulty', blob.digest))
    expect(await tried(row, 1, read)).toBe(row.once)
    expect(await tried(row, undefined, read)).toBe(row.always)
  })

  test('a manifest with a wrong digest is never taken for the right one', async () => {
    const client = clientOf()
    const { digest } = await pushManifest(client, 'shop/faulty', 'v1')
    const row: Case = {
      name: 'manifest: wrong digest',
      method: 'GET',
      path: '/manifests/',
      fault: { type: 'wrong_bytes' },
      once: '',
      always: '',
    }
    expect(await tried(row, undefined, () => client.findManifest('shop/faulty', 'v1'))).toBe('mismatch')
    expect(await tried(row, undefined, () => client.findManifest('shop/faulty', digest))).toBe('mismatch')
    expect(await tried(row, undefined, () => pushManifest(client, 'shop/faulty', 'v2'))).toBe('mismatch')
  })

  test('a registry that is not there is given up after a few attempts', async () => {
    const client = clientOf()
    await wire.close()
    const lines: string[] = []
    expect(await endOf(clientOf({}, lines).findManifest('shop/app', 'v1'))).toBe(again)
    expect(lines).toHaveLength(limits.attempts - 1)
    expect(await endOf(client.pushBlob('shop/app', blobOf(Buffer.from('x'))))).toBe(again)
    rows.push(['push and read: refused', 'always', '-', again])
  })

  test('an upload that was cut goes on where it ended, at a registry that kept what came', async (context) => {
    const keeping = await startKeepingRegistry()
    context.onTestFinished(() => keeping.stop())
    const blob = blobOf(randomBytes(3_000_000))
    const client = createRegistryClient({ name: 'main', url: keeping.url }, { signal: new AbortController().signal, limits })
    expect(await client.pushBlob('shop/resumed', blob)).toBe('uploaded')
    expect(blob.opened).toEqual([0, keeping.cutAt])
    expect(digestOf(keeping.bytes())).toBe(blob.digest)
  })

  test('an abort ends it at once', async () => {
    const abort = new AbortController()
    wire.rules = [{ method: '*', path: '/', fault: { type: 'hang' } }]
    const client = createRegistryClient({ name: 'main', url: wire.url }, { signal: abort.signal })
    const asking = client.findManifest('shop/app', 'v1')
    setImmediate(() => abort.abort(new Error('stopped by a person')))
    await expect(asking).rejects.toThrow('stopped by a person')
  })
})

function table(rows: readonly string[][]): string {
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0))) ?? []
  const line = (row: string[]): string => row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ')
  return `${rows.map(line).join('\n')}\n`
}

/** Keeps what came of an upload that broke off, as the specification has it; Debian's registry forgets it instead. */
async function startKeepingRegistry() {
  const cutAt = 1_000_000
  let kept: Buffer = Buffer.alloc(0)
  let cut = false
  const server = createServer((request, response) => {
    const answer = (status: number, headers: Record<string, string> = {}) => response.writeHead(status, headers).end()
    const range = { location: '/upload', range: `0-${String(kept.length - 1)}` }
    if (request.method === 'HEAD') answer(404)
    else if (request.method === 'POST') answer(202, { location: '/upload' })
    else if (request.method === 'GET') answer(204, range)
    else if (request.method === 'PUT') answer(201)
    else {
      request.on('data', (chunk: Buffer) => {
        kept = Buffer.concat([kept, chunk])
        if (cut || kept.length < cutAt) return
        cut = true
        kept = kept.subarray(0, cutAt)
        request.removeAllListeners('data')
        request.socket.resetAndDestroy()
      })
      request.on('end', () => answer(202, { location: '/upload' }))
    }
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  return {
    url: `http://127.0.0.1:${String(address.port)}`,
    cutAt,
    bytes: () => kept,
    stop: () => new Promise<void>((resolve) => server.close(() => resolve())),
  }
}
