// Long because one contract holds for both drivers.
/** What every edge must do: each test runs once per driver, with real applications behind it and real clients before it. */
import { mkdtempSync, rmSync } from 'node:fs'
import { Agent, createServer, request, type IncomingMessage, type RequestListener, type Server } from 'node:http'
import { connect, type AddressInfo, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Edge, Upstream } from '../../src/drivers/edges/edge.ts'
import { edges } from '../../src/drivers/edges/index.ts'
import { findFreePort } from '../../src/process/free-port.ts'
import { skipUnless } from '../helpers/skips.ts'
import { until } from '../helpers/until.ts'

describe.each(edges)('the edge $name', (driver) => {
  let directory: string
  let edge: Edge
  let port: number
  let agent: Agent
  const servers: Server[] = []

  const create = (totals = {}) => driver.create({ name: 'production', directory, totals, log: () => undefined })

  beforeEach(async () => {
    const obstacle = driver.findObstacle()
    skipUnless(obstacle === undefined, obstacle ?? '')
    directory = mkdtempSync(join(tmpdir(), 'belay-edge-'))
    agent = new Agent({ keepAlive: true, maxSockets: 1 })
    edge = await create()
    port = (await edge.listen({ host: '127.0.0.1', port: 0 })).port
  })
  afterEach(async () => {
    await edge.close(0)
    agent.destroy()
    for (const server of servers.splice(0)) {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    }
    rmSync(directory, { recursive: true, force: true })
  })

  async function serve(name: string, listener: RequestListener, { at = 0, host = '127.0.0.1' } = {}): Promise<Upstream> {
    const server = createServer(listener)
    servers.push(server)
    await new Promise<void>((resolve) => server.listen(at, host, resolve))
    return { id: name, digest: name, host, port: (server.address() as AddressInfo).port }
  }

  const say =
    (text: string): RequestListener =>
    (_incoming, response) =>
      void response.end(text)

  interface Got {
    status: number
    headers: IncomingMessage['headers']
    text: string
    socket: Socket
  }

  interface Asking {
    headers?: Record<string, string | string[]>
    body?: string
    method?: string
    by?: Agent | false
    to?: number
  }

  function get(path: string, options: Asking = {}): Promise<Got> {
    return new Promise((resolve, reject) => {
      const { headers = {}, method = 'GET', by = agent, to = port } = options
      const asking = request({ host: '127.0.0.1', port: to, path, method, headers, agent: by }, (response) => {
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

  const texts = async (count: number): Promise<string[]> => {
    const all: string[] = []
    for (let times = 0; times < count; times++) all.push((await get('/')).text)
    return all
  }
  const counted = (digest: string, requests: number, errors: number) =>
    until(`${digest} has ${String(requests)} requests, ${String(errors)} of them errors`, () => {
      const total = edge.totals()[digest]
      return total?.requests === requests && total.errors === errors
    }, 5_000) // prettier-ignore

  it('answers 503 with Retry-After before the first route, and again after an empty one', async () => {
    const before = await get('/')
    expect([before.status, before.headers['retry-after'], before.text]).toEqual([503, '1', 'Nothing is deployed here yet.\n'])
    await edge.route([await serve('a', say('a'))])
    expect((await get('/')).text).toBe('a')
    await edge.route([])
    const after = await get('/')
    expect([after.status, after.headers['retry-after'], after.text]).toEqual([503, '1', 'Nothing is deployed here yet.\n'])
  })

  it("keeps the client's connection over a switch, though the application closes its own", async () => {
    await edge.route([await serve('a', say('a'))])
    const first = await get('/')
    await edge.route([await serve('b', say('b'))])
    const second = await get('/')
    expect([first.text, second.text]).toEqual(['a', 'b'])
    expect(second.socket).toBe(first.socket)
    await counted('a', 1, 0)
    await counted('b', 1, 0)
  })

  it('drops no request over 50 switches under traffic, on kept connections and on fresh ones', { timeout: 120_000 }, async () => {
    const both = [await serve('a', say('a')), await serve('b', say('b'))]
    await edge.route(both.slice(0, 1))
    const kept = new Agent({ keepAlive: true, maxSockets: 2 })
    const seen: string[] = []
    const failures: string[] = []
    let going = true
    // Eight clients that pause in between: at most 300 requests in a second.
    const clients = Array.from({ length: 8 }, async (_, index) => {
      while (going) {
        const got = await get('/', { by: index % 2 === 0 ? kept : false }).catch((error: unknown) => String(error))
        if (typeof got === 'string' || got.status !== 200)
          failures.push(typeof got === 'string' ? got : `${String(got.status)} ${got.text}`)
        else seen.push(got.text)
        await new Promise((resolve) => setTimeout(resolve, 27))
      }
    })
    for (let turn = 1; turn <= 50; turn++) {
      const [now, before] = [both[turn % 2], both[(turn + 1) % 2]]
      await edge.route(now === undefined ? [] : [now])
      // From the return on: the very next request goes there.
      expect((await get('/', { by: false })).text).toBe(now?.id)
      await edge.drained(before?.id ?? '', 10_000)
      expect(edge.inFlight(before?.id ?? '')).toBe(0)
      const sofar = seen.length
      await until('some more were served', () => seen.length >= sofar + 8, 10_000)
    }
    going = false
    await Promise.all(clients)
    kept.destroy()
    expect(failures).toEqual([])
    expect(new Set(seen)).toEqual(new Set(['a', 'b']))
    await until('all are counted', () => {
      const sum = Object.values(edge.totals()).reduce((total, { requests }) => total + requests, 0)
      return sum === seen.length + 50
    }, 5_000) // prettier-ignore
  })

  it('a request under way ends where it began, and the drain waits for it', async () => {
    let finish: (() => void) | undefined
    await edge.route([await serve('a', (_incoming, response) => void (finish = () => response.end('a')))])
    const slow = get('/', { by: false })
    await until('it is under way', () => edge.inFlight('a') === 1 && finish !== undefined, 5_000)
    await edge.route([await serve('b', say('b'))])
    expect((await get('/')).text).toBe('b')
    let over = false
    const drained = edge.drained('a', 20_000).then(() => (over = true))
    await edge.drained('a', 100)
    expect([over, edge.inFlight('a')]).toEqual([false, 1])
    finish?.()
    expect((await slow).text).toBe('a')
    await drained
    expect(edge.inFlight('a')).toBe(0)
  })

  it('a drain ends with the reason of its signal', async () => {
    await edge.route([await serve('a', () => undefined)])
    const hanging = get('/', { by: false }).catch(() => undefined)
    await until('it is under way', () => edge.inFlight('a') === 1, 5_000)
    const abort = new AbortController()
    const drained = edge.drained('a', 60_000, abort.signal)
    abort.abort(new Error('a newer owner'))
    await expect(drained).rejects.toThrow('a newer owner')
    await edge.close(0)
    await hanging
  })

  it('sends requests to all upstreams of a route in turn', async () => {
    const route = await Promise.all(['1', '2', '3'].map(async (text) => ({ ...(await serve(text, say(text))), digest: 'a' })))
    await edge.route(route)
    expect((await texts(6)).sort()).toEqual(['1', '1', '2', '2', '3', '3'])
    await counted('a', 6, 0)
  })

  it('a request that one upstream refuses goes to the next, body and all', async () => {
    const there = await serve('1', (incoming, response) => void incoming.pipe(response))
    await edge.route([{ ...there, id: '0', port: await findFreePort() }, there])
    for (let times = 0; times < 4; times++) expect((await get('/', { method: 'POST', body: 'kept' })).text).toBe('kept')
    await counted('1', 4, 0)
  })

  it('reaches upstreams at other addresses than 127.0.0.1, by name too', async () => {
    await edge.route([await serve('a', say('a'), { host: '127.0.0.2' })])
    expect((await get('/')).text).toBe('a')
    await edge.route([{ ...(await serve('b', say('b'))), host: 'localhost' }])
    expect((await get('/')).text).toBe('b')
  })

  it('a moved instance is reached at its new port, in the same route', async () => {
    const first = await serve('a', say('first'))
    await edge.route([first])
    await edge.route([{ ...(await serve('a', say('second'))), id: first.id }])
    expect(await texts(3)).toEqual(['second', 'second', 'second'])
    await edge.route([{ ...first }])
    expect(await texts(1)).toEqual(['first'])
  })

  it.each([1, 2])('waits when all of %i upstreams refuse: they are being started again', async (count) => {
    const ports = await Promise.all(Array.from({ length: count }, findFreePort))
    await edge.route(ports.map((at) => ({ id: `a${String(at)}`, digest: 'a', host: '127.0.0.1', port: at })))
    const asking = get('/', { method: 'POST', body: 'patience' })
    const from = performance.now()
    await until('they were away for 300 ms', () => performance.now() - from > 300, 5_000)
    for (const at of ports) await serve('a', (incoming, response) => void incoming.pipe(response), { at })
    expect((await asking).text).toBe('patience')
    await counted('a', 1, 0)
  })

  it('a request that waits goes where a switch sends it', async () => {
    await edge.route([{ id: 'a', digest: 'a', host: '127.0.0.1', port: await findFreePort() }])
    const asking = get('/', { method: 'POST', body: 'patience' })
    const from = performance.now()
    await until('it was away for 300 ms', () => performance.now() - from > 300, 5_000)
    await edge.route([await serve('b', (incoming, response) => void incoming.pipe(response))])
    expect((await asking).text).toBe('patience')
    await counted('b', 1, 0)
  })

  it('says so when the application stays away, and counts an error', async () => {
    await edge.route([{ id: 'a', digest: 'a', host: '127.0.0.1', port: await findFreePort() }])
    const { status, text } = await get('/')
    expect([502, 503]).toContain(status)
    expect(text).toBe('The application does not answer.\n')
    await counted('a', 1, 1)
  })

  it('passes bodies, paths, queries and repeated headers on', async () => {
    await edge.route([
      await serve('a', (incoming, response) => {
        response.setHeader('set-cookie', ['one=1', 'two=2'])
        response.writeHead(201)
        response.write(`${String(incoming.method)} ${String(incoming.url)} `)
        incoming.pipe(response)
      }),
    ])
    const { status, text, headers } = await get('/path?q=%2F', { method: 'POST', body: 'x'.repeat(300_000) })
    expect(status).toBe(201)
    expect(text).toBe(`POST /path?q=%2F ${'x'.repeat(300_000)}`)
    expect(headers['set-cookie']).toEqual(['one=1', 'two=2'])
  })

  it.each([
    { claims: {}, list: '127.0.0.1', proto: 'http', host: 'shop.example' },
    { claims: { 'x-forwarded-for': '203.0.113.9' }, list: '203.0.113.9, 127.0.0.1', proto: 'http', host: 'shop.example' },
    {
      claims: {
        'x-forwarded-for': ['203.0.113.9, 198.51.100.1', '192.0.2.4'],
        'x-forwarded-proto': 'https',
        'x-forwarded-host': 'x.example',
      },
      ...{ list: '203.0.113.9, 198.51.100.1, 192.0.2.4, 127.0.0.1', proto: 'https', host: 'x.example' },
    },
  ])('tells the application who asked, behind whatever the client claims: $list', async ({ claims, list, proto, host }) => {
    await edge.route([await serve('a', (incoming, response) => void response.end(JSON.stringify(incoming.rawHeaders)))])
    const { text } = await get('/', { headers: { ...claims, host: 'shop.example' } })
    const raw = JSON.parse(text) as string[]
    const all = (name: string) => raw.filter((_, index) => index % 2 === 1 && raw[index - 1]?.toLowerCase() === name)
    expect(all('host')).toEqual(['shop.example'])
    expect(all('x-forwarded-for')).toEqual([list])
    expect(all('x-forwarded-proto')).toEqual([proto])
    expect(all('x-forwarded-host')).toEqual([host])
    expect(all('x-forwarded-port')).toEqual([String(port)])
    expect(all('connection')).toEqual(['close'])
  })

  it('counts a 5xx and an answer that breaks off as errors, and a client that leaves as none', async () => {
    let gone = false
    await edge.route([
      await serve('a', (incoming, response) => {
        if (incoming.url === '/bad') return void response.writeHead(500).end()
        if (incoming.url === '/cut') {
          response.writeHead(200, { 'content-length': '100' })
          response.write('half')
          return void setTimeout(() => response.destroy(), 20)
        }
        if (incoming.url === '/reset') return void incoming.socket.destroy()
        response.once('close', () => (gone = true))
      }),
    ])
    expect((await get('/bad')).status).toBe(500)
    await counted('a', 1, 1)
    await expect(get('/cut')).rejects.toMatchObject({ code: 'ECONNRESET' })
    await counted('a', 2, 2)
    expect((await get('/reset')).status).toBe(502)
    await counted('a', 3, 3)
    const leaving = request({ host: '127.0.0.1', port, path: '/hang', agent: false }).on('error', () => undefined)
    leaving.end()
    await until('it is under way', () => edge.inFlight('a') === 1, 5_000)
    leaving.destroy()
    await until('the application was told', () => gone, 5_000)
    await until('it has ended', () => edge.inFlight('a') === 0, 5_000)
    await counted('a', 4, 3)
  })

  it.each([false, true])('a request that was sent is never sent again; on a kept connection: %s', async (kept) => {
    let times = 0
    const listener: RequestListener = (incoming, response) => {
      if (incoming.url === '/') return void response.end()
      times += 1
      incoming.socket.destroy()
    }
    await edge.route([await serve('a', listener), { ...(await serve('a', listener)), id: 'a2' }])
    if (kept) await get('/')
    // On a connection that was used before HAProxy closes it without a word, as RFC 9112 (9.3.1) has clients expect.
    const refused = await get('/cut', { method: 'POST', body: 'once' }).then(({ status }) => status, () => 502) // prettier-ignore
    expect(refused).toBe(502)
    expect(times).toBe(1)
    await counted('a', kept ? 2 : 1, 1)
  })

  it('an answer given before the whole body was read arrives', async () => {
    await edge.route([
      await serve('a', (_incoming, response) => {
        response.writeHead(413, { connection: 'close' })
        response.end('too much')
      }),
    ])
    const { status, text } = await get('/', { method: 'POST', body: 'x'.repeat(20_000) })
    expect([status, text]).toEqual([413, 'too much'])
  })

  it('passes WebSocket upgrades on, and counts them as under way until they close', async () => {
    await edge.route([await serve('a', (_incoming, response) => response.writeHead(426).end())])
    servers[0]?.on('upgrade', (_incoming, socket: Socket) => {
      const accepted = 'HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n'
      socket.write(`${accepted}sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n`)
      socket.pipe(socket)
    })
    const client = connect(port, '127.0.0.1')
    let received = ''
    client.on('data', (chunk: Buffer) => (received += chunk.toString()))
    const upgrade =
      'connection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n'
    client.write(`GET /live HTTP/1.1\r\nhost: x\r\n${upgrade}`)
    await until('it is open', () => received.includes('101 Switching'), 5_000)
    await until('it is under way', () => edge.inFlight('a') === 1, 5_000)
    await edge.route([await serve('b', say('b'))])
    client.write('ping')
    await until('it echoes', () => received.endsWith('ping'), 5_000)
    client.end()
    await edge.drained('a', 20_000)
    expect(edge.inFlight('a')).toBe(0)
    await counted('a', 1, 0)
  })

  it('goes on from the counts that it is given, and starts those of a release again when told', async () => {
    await edge.close(0)
    rmSync(directory, { recursive: true, force: true })
    edge = await create({ a: { requests: 7, errors: 2 } })
    await edge.route([await serve('a', say('a'))])
    port = (await edge.listen({ host: '127.0.0.1', port: 0 })).port
    await get('/')
    await counted('a', 8, 2)
    await edge.drained('a', 5_000)
    edge.reset('a')
    expect(edge.totals()['a']).toEqual({ requests: 0, errors: 0 })
    // As an activation does: traffic is sent there after the reset.
    await edge.route([await serve('b', say('b'))])
    await edge.route([{ ...(await serve('a', say('a'))), id: 'another' }])
    await get('/')
    await counted('a', 1, 0)
  })

  it('stays where it was when the new address is taken', async () => {
    const taken = await serve('a', say('a'))
    await edge.route([taken])
    const refused = edge.listen({ host: '127.0.0.1', port: taken.port })
    await expect(refused).rejects.toMatchObject({ code: 'conflict', retryable: true })
    expect((await get('/')).text).toBe('a')
    expect(edge.address()).toEqual({ host: '127.0.0.1', port })
  })

  it('moves to another address with its route; what is under way at the old one ends there and is drained', async () => {
    let finish: (() => void) | undefined
    await edge.route([
      await serve('a', (incoming, response) => {
        if (incoming.url === '/slow') finish = () => response.end('slow')
        else response.end('a')
      }),
    ])
    const slow = get('/slow', { by: false })
    await until('it is under way', () => edge.inFlight('a') === 1 && finish !== undefined, 5_000)
    const before = port
    port = await findFreePort()
    expect(await edge.listen({ host: '127.0.0.1', port })).toEqual({ host: '127.0.0.1', port })
    expect((await get('/', { by: false })).text).toBe('a')
    await until('the old address is closed', () => get('/', { by: false, to: before }).then(() => false, () => true), 5_000) // prettier-ignore
    let over = false
    const drained = edge.drained('a', 20_000).then(() => (over = true))
    await edge.drained('a', 100)
    expect(over).toBe(false)
    finish?.()
    expect((await slow).text).toBe('slow')
    await drained
  })

  it('closes once what is under way has ended, and listens again where it was', async () => {
    let finish: (() => void) | undefined
    await edge.route([
      await serve('a', (incoming, response) => {
        if (incoming.url === '/slow') finish = () => response.end('late')
        else response.end('a')
      }),
    ])
    const slow = get('/slow', { by: false })
    await until('it is under way', () => edge.inFlight('a') === 1 && finish !== undefined, 5_000)
    const closed = edge.close(20_000)
    await until('it takes nobody', () => get('/', { by: false }).then(() => false, () => true), 5_000) // prettier-ignore
    finish?.()
    expect((await slow).text).toBe('late')
    await closed
    expect(edge.address()).toBeUndefined()
    await edge.route([await serve('b', say('b'))])
    expect(await edge.listen({ host: '127.0.0.1', port })).toEqual({ host: '127.0.0.1', port })
    expect((await get('/')).text).toBe('b')
  })

  it('closes at the limit, whatever is under way', async () => {
    await edge.route([await serve('a', () => undefined)])
    const hanging = get('/', { by: false })
    const broken = expect(hanging).rejects.toMatchObject({ code: 'ECONNRESET' })
    await until('it is under way', () => edge.inFlight('a') === 1, 5_000)
    await edge.close(50)
    await broken
  })
})
