import { Agent } from 'node:http'
import { connect, type Socket } from 'node:net'

/** Where traffic goes now. */
export interface Route {
  /** Of the instance. */
  id: string
  digest: string
  /** On 127.0.0.1. */
  port: number
}

export interface Upstream {
  route: Route
  socket: Socket
  /** Ends the count of this request. */
  end(outcome: 'good' | 'error' | 'uncounted'): void
}

export interface ConnectOptions {
  /** Asked before each try: a dead instance may be back on another port, or another one may serve. */
  route(): Route | undefined
  begin(route: Route): Upstream['end']
  /** The client has gone. */
  isOver(): boolean
}

/** How long a request waits for an application that refuses connections: it just died and is being started again. */
const patienceMs = 2_000
const betweenTriesMs = 20

/**
 * A connection to what serves, made before anything of the request is sent: so trying again is always safe.
 * `none`: nothing serves; `refused`: it did not answer in time; `over`: the client did not wait.
 */
export async function connectUpstream(options: ConnectOptions): Promise<Upstream | 'none' | 'refused' | 'over'> {
  const deadline = performance.now() + patienceMs
  for (;;) {
    const route = options.route()
    if (route === undefined) return 'none'
    const end = options.begin(route)
    const socket = await dial(route.port)
    if (options.isOver()) {
      socket?.destroy()
      end('uncounted')
      return 'over'
    }
    if (socket !== undefined) return { route, socket, end }
    const givenUp = performance.now() >= deadline
    end(givenUp ? 'error' : 'uncounted')
    if (givenUp) return 'refused'
    await new Promise((resolve) => setTimeout(resolve, betweenTriesMs))
  }
}

function dial(port: number): Promise<Socket | undefined> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port, noDelay: true })
    socket.setTimeout(patienceMs, () => {
      socket.destroy()
      resolve(undefined)
    })
    // Stays on: an error between this moment and the request's first byte is told to the request as well.
    socket.on('error', () => {
      resolve(undefined)
    })
    socket.once('connect', () => {
      socket.setTimeout(0)
      resolve(socket)
    })
  })
}

/** An agent that hands out this one connection, and closes it after the request. */
export function agentFor(socket: Socket): Agent {
  return Object.assign(new Agent({ keepAlive: false }), { createConnection: () => socket })
}
