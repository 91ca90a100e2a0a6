import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { createClient, type Client } from '../api/client.ts'
import { findFreePort } from '../process/free-port.ts'
import { askPatiently } from './ask-patiently.ts'

const io = () => ({ signal: new AbortController().signal })

/** A server that is not ready for as many requests; gives the keys that it was asked with. */
async function serveLate(refusals: number): Promise<{ client: Client; keys: unknown[] }> {
  const keys: unknown[] = []
  const server = createServer((request, response) => {
    keys.push(request.headers['idempotency-key'])
    const ready = keys.length > refusals
    const problem = { title: 'x', status: 503, detail: 'the environment is starting', code: 'unavailable', retryable: true }
    response.writeHead(ready ? 202 : 503, { 'content-type': ready ? 'application/json' : 'application/problem+json' })
    response.end(JSON.stringify(ready ? { requestId: 'deploy/1', release: 5, digest: 'sha256:5' } : problem))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void server.close())
  const { port } = server.address() as AddressInfo
  return { keys, client: createClient({ url: `http://127.0.0.1:${String(port)}`, token: 'x' }) }
}

test('a server that is not ready is asked again with the same key, so that it is one request', async () => {
  const { client, keys } = await serveLate(2)
  const asked = askPatiently(io(), 'belay envs production', () => client.deploy('production', { release: '5' }, 'one key'))
  await expect(asked).resolves.toMatchObject({ release: 5 })
  expect(keys).toEqual(['one key', 'one key', 'one key'])
})

test('where nobody listens nothing was asked: that is said at once', async () => {
  const client = createClient({ url: `http://127.0.0.1:${String(await findFreePort())}`, token: 'x' })
  const asked = askPatiently(io(), 'belay envs production', () => client.deploy('production', { release: '5' }, 'one key'))
  await expect(asked).rejects.toMatchObject({ code: 'unavailable', hint: expect.stringContaining('belay up') as string })
})

test('given up, it says that it may yet be carried out', async () => {
  const { client } = await serveLate(100)
  const stopped = new AbortController()
  stopped.abort()
  const asked = askPatiently({ signal: stopped.signal }, 'belay envs production', () =>
    client.deploy('production', { release: '5' }, 'k'),
  )
  await expect(asked).rejects.toMatchObject({ hint: expect.stringContaining('belay envs production') as string })
})
