import { once } from 'node:events'
import { createServer, type RequestListener, type Server } from 'node:http'
import { afterEach, expect, test } from 'vitest'
import { findFreePort } from '../process/free-port.ts'
import { createClient } from './client.ts'

const servers: Server[] = []

afterEach(() => {
  for (const server of servers.splice(0)) server.close()
})

test('a server that is away is unavailable, with its URL and what to do', async () => {
  const url = `http://127.0.0.1:${String(await findFreePort())}`
  const call = createClient({ url, token: 'x' }).listRuns()
  const away = { code: 'unavailable', retryable: true, message: expect.stringContaining(url), hint: expect.any(String) }
  await expect(call).rejects.toMatchObject(away)
})

test('something else than a Belay server is said to be that', async () => {
  const url = await serve((_request, response) => response.writeHead(404, { 'content-type': 'text/html' }).end('<h1>no</h1>'))
  const call = createClient({ url, token: 'x' }).listRuns()
  await expect(call).rejects.toMatchObject({ code: 'refused', hint: expect.stringContaining('Belay') })
})

test('an answer of another shape than agreed is a mismatch', async () => {
  const url = await serve((_request, response) =>
    response.writeHead(200, { 'content-type': 'application/json' }).end('{"items":7}'),
  )
  await expect(createClient({ url, token: 'x' }).listRuns()).rejects.toMatchObject({ code: 'mismatch' })
})

test('a stream gives up when no server has answered for as long as it may', async () => {
  const url = `http://127.0.0.1:${String(await findFreePort())}`
  const items = createClient({ url, token: 'x' }).followRun({ id: '1', project: 'shop' }, { giveUpAfterMs: 1 })
  await expect(items.next()).rejects.toMatchObject({ code: 'unavailable' })
})

test('a stream ends quietly when its reader has had enough', async () => {
  const url = await serve((_request, response) => response.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders())
  const enough = new AbortController()
  const items = createClient({ url, token: 'x' }).followLog({ id: '1', project: 'shop' }, 'build', { signal: enough.signal })
  const next = items.next()
  enough.abort()
  expect(await next).toEqual({ done: true, value: undefined })
})

test('names are never read as part of a path', async () => {
  const paths: (string | undefined)[] = []
  const url = await serve((request, response) => {
    paths.push(request.url)
    response.writeHead(404).end()
  })
  await expect(createClient({ url, token: 'x' }).getEnvironment('../runs?x=1')).rejects.toMatchObject({ code: 'refused' })
  expect(paths).toEqual(['/api/v1/environments/..%2Fruns%3Fx%3D1'])
})

async function serve(answer: RequestListener): Promise<string> {
  const server = createServer(answer)
  servers.push(server)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  return `http://127.0.0.1:${String(address.port)}`
}
