import { Agent } from 'node:http'
import { connect, type Socket } from 'node:net'
import type { Upstream } from '../edge.ts'

/** A request on its way to an upstream that took its connection. */
export interface Connected {
  upstream: Upstream
  socket: Socket
  /** Ends the count of this request. */
  end(outcome: 'good' | 'error' | 'uncounted'): void
}

export interface ConnectOptions {
  /** In the order to be tried. Asked before each try: a dead one may be back on another port, or another release may serve. */
  route(): readonly Upstream[]
  begin(upstream: Upstream): Connected['end']
  /** The client has gone. */
  isOver(): boolean
}

/** How long a request waits for an application that refuses connections: it just died and is being started again. */
const patienceMs = 2_000
/** With others to go to, one that does not even refuse gets less. */
const patienceBesideOthersMs = 500
const betweenRoundsMs = 20

/**
 * A connection to what serves, made before anything of the request is sent: so trying another, or again, is always safe.
 * `none`: nothing serves; `refused`: nobody answered in time; `over`: the client did not wait.
 */
export async function connectUpstream(options: ConnectOptions): Promise<Connected | 'none' | 'refused' | 'over'> {
  const deadline = performance.now() + patienceMs
  const refused = new Set<string>()
  for (;;) {
    const route = options.route()
    const upstream = route.find(({ id }) => !refused.has(id)) ?? route[0]
    if (upstream === undefined) return 'none'
    const end = options.begin(upstream)
    const socket = await dial(upstream, route.length > 1 ? patienceBesideOthersMs : patienceMs)
    if (options.isOver()) {
      socket?.destroy()
      end('uncounted')
      return 'over'
    }
    if (socket !== undefined) return { upstream, socket, end }
    refused.add(upstream.id)
    const another = options.route().some(({ id }) => !refused.has(id))
    const givenUp = !another && performance.now() >= deadline
    end(givenUp ? 'error' : 'uncounted')
    if (givenUp) return 'refused'
    if (another) continue
    refused.clear()
    await new Promise((resolve) => setTimeout(resolve, betweenRoundsMs))
  }
}

function dial({ host, port }: Upstream, limitMs: number): Promise<Socket | undefined> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, noDelay: true })
    socket.setTimeout(limitMs, () => {
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
