/** An edge in the keeper's own process: takes requests at one address and passes each to what serves at that moment. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import { createProxyServer } from 'httpxy'
import { BelayError } from '../../../domain/errors.ts'
import type { Edge, EdgeAddress, EdgeDriver, EdgeOptions, Upstream } from '../edge.ts'
import { agentFor, connectUpstream, type Connected } from './connect-upstream.ts'
import { forwardedHeaders } from './forwarded-headers.ts'
import { createTraffic } from './traffic.ts'

/** One request on its way. */
interface Exchange {
  end: Connected['end']
  /** The application's answer has begun. */
  answered: boolean
}

/** A server, and the sockets it has handed over: closing it leaves those to us. */
interface Listening {
  server: Server
  upgraded: Set<Duplex>
}

/** Longer than what usual clients keep an idle connection: so it is they who close it, and none is closed under a request. */
const keepAliveMs = 75_000

export const embeddedEdge = {
  name: 'embedded',
  findObstacle: () => undefined,
  create: (options) => Promise.resolve(createEmbeddedEdge(options)),
} as const satisfies EdgeDriver

function createEmbeddedEdge(options: EdgeOptions): Edge {
  const proxy = createProxyServer({})
  const traffic = createTraffic(options.totals)
  const exchanges = new WeakMap<IncomingMessage, Exchange>()
  let current: (Listening & EdgeAddress) | undefined
  let route: readonly Upstream[] = []
  /** Of the route: who gets the next request. */
  let turn = 0

  proxy.on('proxyRes', (answer, request) => {
    const exchange = exchanges.get(request)
    if (exchange === undefined) return
    exchange.answered = true
    // These belong to the connection behind us; the client's stays open, unless we are closing.
    delete answer.headers['keep-alive']
    if (current === undefined) answer.headers.connection = 'close'
    else delete answer.headers.connection
    if (answer.statusCode !== undefined && answer.statusCode >= 500) exchange.end('error')
    const noticeCut = (): void => {
      if (!answer.complete && !request.socket.destroyed) exchange.end('error')
    }
    answer.once('error', noticeCut).once('close', noticeCut)
  })

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const upstream = await reach(() => response.destroyed)
    if (typeof upstream === 'string') return refuse(response, upstream)
    const exchange: Exchange = { end: (outcome) => upstream.end(outcome), answered: false }
    exchanges.set(request, exchange)
    response.once('close', () => {
      upstream.end('good')
    })
    try {
      await proxy.web(request, response, {
        target: targetOf(upstream),
        agent: agentFor(upstream.socket),
        headers: { ...forwardedHeaders(request), connection: 'close' },
      })
    } catch {
      // Once an answer has begun its own events say how it ends: an application may answer without reading the whole body.
      if (exchange.answered) return
      upstream.end(request.socket.destroyed ? 'good' : 'error')
      refuse(response, 'broken')
    }
  }

  async function serveUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    if (request.headers.upgrade?.toLowerCase() !== 'websocket') return refuseUpgrade(socket, '501 Not Implemented')
    const upstream = await reach(() => socket.destroyed)
    if (typeof upstream === 'string') return refuseUpgrade(socket, '503 Service Unavailable')
    socket.once('close', () => {
      upstream.end('good')
    })
    try {
      const through = { target: targetOf(upstream), agent: agentFor(upstream.socket), headers: forwardedHeaders(request) }
      await proxy.ws(request, socket as IncomingMessage['socket'], through, head)
    } catch {
      upstream.end('error')
      socket.destroy()
    }
  }

  function reach(isOver: () => boolean): ReturnType<typeof connectUpstream> {
    turn += 1
    const first = turn
    // A switch is one assignment: whoever waits asks again.
    const inTurn = (): Upstream[] =>
      route.map((_, index) => route[(first + index) % route.length]).filter((one) => one !== undefined)
    return connectUpstream({ route: inTurn, begin: (upstream) => traffic.begin(upstream), isOver })
  }

  return {
    address: () => (current === undefined ? undefined : { host: current.host, port: current.port }),
    async listen({ host, port }) {
      if (current?.host === host && current.port === port) return { host, port }
      const server = createServer({ keepAliveTimeout: keepAliveMs, requestTimeout: 0 }, (request, response) => {
        void serve(request, response)
      })
      const upgraded = new Set<Duplex>()
      server.on('upgrade', (request, socket, head) => {
        upgraded.add(socket)
        socket.once('close', () => upgraded.delete(socket))
        socket.on('error', () => socket.destroy())
        void serveUpgrade(request, socket, head)
      })
      const bound = await bind(server, host, port)
      const former = current
      current = { server, upgraded, host, port: bound }
      if (former !== undefined) void closeServer(former, keepAliveMs)
      return { host, port: bound }
    },
    route(upstreams) {
      route = [...upstreams]
      return Promise.resolve()
    },
    inFlight: (id) => traffic.inFlight(id),
    drained: (id, limitMs, signal) => traffic.drained(id, limitMs, signal),
    totals: () => traffic.totals(),
    reset: (digest) => {
      traffic.reset(digest)
    },
    async close(limitMs) {
      const former = current
      current = undefined
      if (former !== undefined) await closeServer(former, limitMs)
    },
  }
}

function targetOf({ upstream }: Connected): EdgeAddress {
  return { host: upstream.host, port: upstream.port }
}

function bind(server: Server, host: string, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', (error) => {
      reject(
        new BelayError({
          code: 'conflict',
          message: `the edge cannot listen on ${host}:${String(port)}: ${error.message}`,
          hint: 'Stop what uses that address, or give the environment another one.',
          retryable: true,
          cause: error,
        }),
      )
    })
    server.listen(port, host, () => {
      const address = server.address()
      resolve(address === null || typeof address === 'string' ? port : address.port)
    })
  })
}

async function closeServer({ server, upgraded }: Listening, limitMs: number): Promise<void> {
  const closed = new Promise<void>((resolve) => {
    server.close(() => {
      resolve()
    })
  })
  server.closeIdleConnections()
  const timer = setTimeout(() => {
    server.closeAllConnections()
    for (const socket of upgraded) socket.destroy()
  }, limitMs)
  await closed
  clearTimeout(timer)
}

const refusals = {
  none: { status: 503, text: 'Nothing is deployed here yet.\n' },
  refused: { status: 502, text: 'The application does not answer.\n' },
  broken: { status: 502, text: 'The application broke off.\n' },
} as const

function refuse(response: ServerResponse, why: keyof typeof refusals | 'over'): void {
  if (why === 'over' || response.destroyed) return
  const { status, text } = refusals[why]
  response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8', ...(status === 503 ? { 'retry-after': '1' } : {}) })
  response.end(text)
}

function refuseUpgrade(socket: Duplex, status: string): void {
  socket.end(`HTTP/1.1 ${status}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`)
}
