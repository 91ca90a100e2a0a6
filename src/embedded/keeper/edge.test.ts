import { Agent, createServer, request, type IncomingMessage, type RequestListener, type Server } from 'node:http'
import { connect, type AddressInfo, type Socket } from 'node:net'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { until } from '../../../test/helpers/until.ts'
import { findFreePort } from '../../process/free-port.ts'
import { createEdge, type Edge } from './edge.ts'
import { createTraffic, type Traffic } from './traffic.ts'
import type { Route } from './connect-upstream.ts'

let route: Route | undefined
let asked = 0
let traffic: Traffic
let edge: Edge
let port: number
const servers: Server[] = []
const agent = new Agent({ keepAlive: true, maxSockets: 1 })

/** What serves, and how often that was asked. */
function askRoute(): Route | undefined {
  asked += 1
  return route
}

beforeEach(async () => {
  route = undefined
  asked = 0
  traffic = createTraffic()
  edge = createEdge({ route: askRoute, traffic })
  port = (await edge.listen({ host: '127.0.0.1', port: 0 })).port
})
afterEach(async () => {
  await edge.close(0)
  for (const server of servers.splice(0)) {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  }
})

async function serve(name: string, listener: RequestListener, at = 0): Promise<Route> {
  const server = createServer(listener)
  servers.push(server)
  await new Promise<void>((resolve) => server.listen(at, '127.0.0.1', resolve))
  return { id: name, digest: name, port: (server.address() as AddressInfo).port }
}

interface Got {
  status: number
  headers: IncomingMessage['headers']
  text: string
  socket: Socket
}

function get(path: string, options: { headers?: Record<string, string>; body?: string; method?: string } = {}): Promise<Got> {
  return new Promise((resolve, reject) => {
    const { headers = {}, method = 'GET' } = options
    const asking = request({ host: '127.0.0.1', port, path, method, headers, agent }, (response) => {
      let text = ''
      const { socket } = response
      response.on('data', (chunk: Buffer) => (text += chunk.toString()))
      response.once('error', reject)
      response.once('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, text, socket }))
    })
    asking.once('error', reject)
    asking.end(options.body)
  })
}

it("keeps the client's connection over a switch, though the application closes its own", async () => {
  route = await serve('a', (_request, response) => response.end('a'))
  const first = await get('/')
  route = await serve('b', (_request, response) => response.end('b'))
  const second = await get('/')
  expect([first.text, second.text]).toEqual(['a', 'b'])
  expect(second.socket).toBe(first.socket)
  expect(traffic.totals()).toEqual({ a: { requests: 1, errors: 0 }, b: { requests: 1, errors: 0 } })
})

it('passes bodies, paths, queries and repeated headers on', async () => {
  route = await serve('a', (incoming, response) => {
    response.setHeader('set-cookie', ['one=1', 'two=2'])
    response.writeHead(201)
    response.write(`${String(incoming.method)} ${String(incoming.url)} `)
    incoming.pipe(response)
  })
  const { status, text, headers } = await get('/path?q=%2F', { method: 'POST', body: 'x'.repeat(300_000) })
  expect(status).toBe(201)
  expect(text).toBe(`POST /path?q=%2F ${'x'.repeat(300_000)}`)
  expect(headers['set-cookie']).toEqual(['one=1', 'two=2'])
})

it('tells the application who asked, behind whatever the client claims', async () => {
  route = await serve('a', (incoming, response) => response.end(JSON.stringify(incoming.headers)))
  const { text } = await get('/', { headers: { 'x-forwarded-for': '203.0.113.9', host: 'shop.example' } })
  expect(JSON.parse(text)).toMatchObject({
    host: 'shop.example',
    'x-forwarded-for': '203.0.113.9, 127.0.0.1',
    'x-forwarded-host': 'shop.example',
    'x-forwarded-proto': 'http',
    connection: 'close',
  })
})

it('counts a 5xx and an answer that breaks off as errors, and a client that leaves as none', async () => {
  let gone = false
  route = await serve('a', (incoming, response) => {
    if (incoming.url === '/bad') return void response.writeHead(500).end()
    if (incoming.url === '/cut') {
      response.writeHead(200, { 'content-length': '100' })
      response.write('half')
      return void setImmediate(() => response.destroy())
    }
    if (incoming.url === '/reset') return void incoming.socket.destroy()
    response.once('close', () => (gone = true))
  })
  expect((await get('/bad')).status).toBe(500)
  expect(traffic.totals()['a']).toEqual({ requests: 1, errors: 1 })
  await expect(get('/cut')).rejects.toMatchObject({ code: 'ECONNRESET' })
  await until('counted', () => traffic.totals()['a']?.requests === 2, 5_000)
  expect(traffic.totals()['a']).toEqual({ requests: 2, errors: 2 })
  expect((await get('/reset')).status).toBe(502)
  expect(traffic.totals()['a']).toEqual({ requests: 3, errors: 3 })
  const leaving = request({ host: '127.0.0.1', port, path: '/hang', agent: false }).on('error', () => undefined)
  leaving.end()
  await until('it is under way', () => traffic.inFlight('a') === 1, 5_000)
  leaving.destroy()
  await until('the application was told', () => gone, 5_000)
  await until('it has ended', () => traffic.inFlight('a') === 0, 5_000)
  expect(traffic.totals()['a']).toEqual({ requests: 4, errors: 3 })
})

it('an answer given before the whole body was read arrives', async () => {
  route = await serve('a', (_incoming, response) => {
    response.writeHead(413, { connection: 'close' })
    response.end('too much')
  })
  const { status, text } = await get('/', { method: 'POST', body: 'x'.repeat(20_000) })
  expect([status, text]).toEqual([413, 'too much'])
})

it('waits for an application that is being started again, body and all', async () => {
  const free = await findFreePort()
  route = { id: 'a', digest: 'a', port: free }
  const asking = get('/', { method: 'POST', body: 'patience' })
  // Asked again: so the first try was refused.
  await until('it is waiting', () => asked >= 2, 5_000)
  await serve('a', (incoming, response) => void incoming.pipe(response), free)
  expect((await asking).text).toBe('patience')
  expect(traffic.totals()).toEqual({ a: { requests: 1, errors: 0 } })
})

it('says 502 when the application stays away, and 503 when there is none', async () => {
  expect((await get('/')).status).toBe(503)
  route = { id: 'a', digest: 'a', port: await findFreePort() }
  expect((await get('/')).status).toBe(502)
  expect(traffic.totals()).toEqual({ a: { requests: 1, errors: 1 } })
})

it('passes WebSocket upgrades on, and counts them as under way until they close', async () => {
  route = await serve('a', (_incoming, response) => response.writeHead(426).end())
  servers[0]?.on('upgrade', (_incoming, socket: Socket) => {
    socket.write('HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n\r\n')
    socket.pipe(socket)
  })
  const client = connect(port, '127.0.0.1')
  let received = ''
  client.on('data', (chunk: Buffer) => (received += chunk.toString()))
  client.write('GET /live HTTP/1.1\r\nhost: x\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-key: x\r\n\r\n')
  await until('it is open', () => received.includes('101 Switching'), 5_000)
  expect(traffic.inFlight('a')).toBe(1)
  client.write('ping')
  await until('it echoes', () => received.endsWith('ping'), 5_000)
  client.end()
  await until('it is closed', () => traffic.inFlight('a') === 0, 5_000)
  expect(traffic.totals()['a']).toEqual({ requests: 1, errors: 0 })
})

it('stays where it was when the new address is taken', async () => {
  route = await serve('a', (_incoming, response) => response.end('a'))
  await expect(edge.listen({ host: '127.0.0.1', port: route.port })).rejects.toMatchObject({ code: 'conflict' })
  expect((await get('/')).text).toBe('a')
})

it('closes once what is under way has ended', async () => {
  route = await serve('a', (_incoming, response) => void setTimeout(() => response.end('late'), 300))
  const slow = get('/')
  await until('it is under way', () => traffic.inFlight('a') === 1, 5_000)
  await edge.close(20_000)
  expect((await slow).text).toBe('late')
  await expect(get('/')).rejects.toMatchObject({ code: 'ECONNREFUSED' })
})
