/** Who is told who we are. Stands in for a registry with a token server: none can be had that sends us astray on demand. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { expect, onTestFinished, test } from 'vitest'
import { createRegistryClient } from './create-registry-client.ts'
import { defaultLimits } from './insist.ts'
import type { RegistryClient } from './registry.ts'

type Handle = (request: IncomingMessage, response: ServerResponse) => void
interface Seen {
  url: string
  authorization: string | undefined
}

/** Notes who asked, and as whom. */
async function startServer(handle: Handle): Promise<{ url: string; seen: Seen[] }> {
  const seen: Seen[] = []
  const server = createServer((request, response) => {
    seen.push({ url: request.url ?? '', authorization: request.headers.authorization })
    handle(request, response)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  return { url: `http://127.0.0.1:${String(address.port)}`, seen }
}

const password = 'canary-of-a-token'
const basic = `Basic ${Buffer.from(`ci:${password}`).toString('base64')}`
const digest = `sha256:${'0'.repeat(64)}`

function clientOf(url: string, lines: string[] = []): RegistryClient {
  return createRegistryClient(
    { name: 'main', url, username: 'ci', password },
    {
      signal: new AbortController().signal,
      limits: { ...defaultLimits, attempts: 2, silenceMs: 1_000, firstWaitMs: 1, mostAskedWaitMs: 20 },
      log: (line) => lines.push(line),
    },
  )
}

test('a token is fetched from where the registry says, for what it says, and the registry sees the token only', async () => {
  const tokens = await startServer((_, response) => response.end(JSON.stringify({ token: 'of-a-day' })))
  const challenge = `Bearer realm="${tokens.url}/token",service="images",scope="repository:shop/app:pull"`
  const registry = await startServer(({ headers }, response) => {
    if (headers.authorization === 'Bearer of-a-day') response.writeHead(200).end()
    else response.writeHead(401, { 'www-authenticate': challenge }).end()
  })
  const client = clientOf(registry.url)
  expect(await client.hasBlob('shop/app', digest)).toBe(true)
  expect(await client.hasBlob('shop/app', digest)).toBe(true)
  expect(tokens.seen).toEqual([{ url: '/token?service=images&scope=repository%3Ashop%2Fapp%3Apull', authorization: basic }])
  expect(registry.seen.map(({ authorization }) => authorization)).toEqual([undefined, 'Bearer of-a-day', 'Bearer of-a-day'])
})

test.each([
  ['without https on another machine', 'Bearer realm="http://tokens.example/token"'],
  ['that is none', 'Bearer realm="nowhere"'],
  ['of an unknown kind', 'Negotiate'],
])('a login %s is refused, and nobody is told the password', async (_, challenge) => {
  const registry = await startServer((_request, response) => response.writeHead(401, { 'www-authenticate': challenge }).end())
  const error: unknown = await clientOf(registry.url)
    .hasBlob('shop/app', digest)
    .catch((thrown: unknown) => thrown)
  expect(error).toMatchObject({ code: 'refused', hint: expect.stringContaining('registries.main') as string })
  expect(JSON.stringify(error) + String(error)).not.toContain(password)
  expect(registry.seen).toEqual([{ url: `/v2/shop/app/blobs/${digest}`, authorization: undefined }])
})

test('a blob that lies elsewhere is fetched there without saying who we are', async () => {
  const store = await startServer((_, response) => response.end('bytes'))
  const registry = await startServer(({ headers }, response) => {
    if (headers.authorization === basic) response.writeHead(307, { location: `${store.url}/bytes` }).end()
    else response.writeHead(401, { 'www-authenticate': 'Basic realm="images"' }).end()
  })
  const read = async (): Promise<string> => {
    let text = ''
    for await (const chunk of await clientOf(registry.url).readBlob('shop/app', digest)) text += Buffer.from(chunk).toString()
    return text
  }
  await expect(read()).rejects.toMatchObject({ code: 'mismatch' })
  expect(store.seen).toEqual([{ url: '/bytes', authorization: undefined }])
})

test.each([
  ['seconds', '3600'],
  ['a date', new Date(Date.now() + 3_600_000).toUTCString()],
])('a wait that is asked for in %s is kept, up to the limit', async (_, retryAfter) => {
  const registry = await startServer((_request, response) => response.writeHead(429, { 'retry-after': retryAfter }).end())
  const lines: string[] = []
  await expect(clientOf(registry.url, lines).hasBlob('shop/app', digest)).rejects.toMatchObject({ code: 'unavailable' })
  expect(lines).toEqual(['registry main: it answered 429; trying again in 20 ms'])
})

test('bytes of our own that cannot be read are told as that, and are not tried again', async () => {
  const registry = await startServer(({ method }, response) => {
    if (method === 'HEAD') response.writeHead(404).end()
    else if (method === 'POST') response.writeHead(202, { location: '/upload' }).end()
  })
  async function* open(): AsyncGenerator<Uint8Array> {
    yield await Promise.resolve(Buffer.from('a'))
    throw new Error('the disk is gone')
  }
  await expect(clientOf(registry.url).pushBlob('shop/app', { digest, size: 9, open })).rejects.toThrow('the disk is gone')
  expect(registry.seen.filter(({ url }) => url === '/upload').length).toBeLessThanOrEqual(1)
})
