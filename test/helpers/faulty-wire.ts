/** A wire that breaks on demand: an HTTP proxy in front of a real server, which passes everything on but for its faults. */
import { createServer, request as requestHttp, type IncomingMessage, type ServerResponse } from 'node:http'

export type WireFault =
  /** The connection is reset before an answer. */
  | { type: 'reset' }
  /** Taken, and never answered. */
  | { type: 'hang' }
  /** This many bytes of the request's body reach the server, then both sides are cut off. */
  | { type: 'cut_upload'; afterBytes: number }
  /** This many bytes of the answer's body reach the client, then it is cut off. */
  | { type: 'cut_answer'; afterBytes: number }
  /** After this many bytes of the request's body nothing more is taken, and nothing said. */
  | { type: 'hang_upload'; afterBytes: number }
  /** After this many bytes of the answer's body nothing more is said. */
  | { type: 'hang_answer'; afterBytes: number }
  | { type: 'status'; status: number; retryAfter?: string }
  /** Carried out by the server; the connection is reset instead of its answer. */
  | { type: 'lost_answer' }
  /** The answer's first byte is another one. */
  | { type: 'wrong_bytes' }
  /** The server gets another first byte of the body than was sent. */
  | { type: 'wrong_upload' }

export interface WireRule {
  method: string
  /** Part of the path. */
  path: string | RegExp
  fault: WireFault
  /** How often; default: for ever. */
  times?: number
}

export interface FaultyWire {
  url: string
  host: string
  /** Asked in turn; the first that fits is applied. */
  rules: WireRule[]
  /** `METHOD path` of what came, the faults among them. */
  requests: string[]
  /** Bytes of request bodies that came, by method. */
  received: Record<string, number>
  /** Nobody listens from now on: connections are refused. */
  close(): Promise<void>
}

export async function startFaultyWire(target: string): Promise<FaultyWire> {
  const wire: FaultyWire = { url: '', host: '', rules: [], requests: [], received: {}, close }
  const server = createServer((request, response) => {
    request.on('error', () => request.destroy())
    const { method = '', url = '' } = request
    wire.requests.push(`${method} ${url.replace(/\?.*/, '')}`)
    request.on('data', (chunk: Buffer) => (wire.received[method] = (wire.received[method] ?? 0) + chunk.length))
    const rule = wire.rules.find((candidate) => fits(candidate, method, url))
    if (rule?.times !== undefined) rule.times -= 1
    apply(rule?.fault, { request, response, target })
  })
  server.requestTimeout = 0
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  wire.host = `127.0.0.1:${String(address.port)}`
  wire.url = `http://${wire.host}`

  async function close(): Promise<void> {
    if (!server.listening) return
    await new Promise<void>((resolve) => {
      server.close(() => resolve())
      server.closeAllConnections()
    })
  }
  return wire
}

function fits({ method, path, times }: WireRule, asked: string, url: string): boolean {
  if (times !== undefined && times <= 0) return false
  return (method === '*' || method === asked) && (typeof path === 'string' ? url.includes(path) : path.test(url))
}

interface Exchange {
  request: IncomingMessage
  response: ServerResponse
  target: string
}

function apply(fault: WireFault | undefined, exchange: Exchange): void {
  const { request, response } = exchange
  switch (fault?.type) {
    case 'reset':
      request.socket.resetAndDestroy()
      return
    case 'hang':
      return
    case 'status':
      request.resume()
      response.writeHead(fault.status, fault.retryAfter === undefined ? {} : { 'retry-after': fault.retryAfter })
      response.end('a fault')
      return
    default:
      passOn(fault, exchange)
  }
}

/** As it came, but for what the fault changes; addresses in answers keep leading through us. */
function passOn(fault: Exclude<WireFault, { type: 'reset' | 'hang' | 'status' }> | undefined, exchange: Exchange): void {
  const { request, response, target } = exchange
  const { method, headers } = request
  const url = new URL(request.url ?? '/', target)
  const onward = requestHttp(url, { method, headers, agent: false }, (answer) => {
    if (fault?.type === 'lost_answer') {
      answer.resume().once('close', () => request.socket.resetAndDestroy())
      return
    }
    // The registry makes its Locations of the Host header, which is ours.
    response.writeHead(answer.statusCode ?? 502, answer.headers)
    let sent = 0
    answer.on('data', (chunk: Buffer) => {
      const first = sent === 0
      sent += chunk.length
      if (fault?.type === 'cut_answer' && sent >= fault.afterBytes) {
        response.write(chunk.subarray(0, chunk.length - (sent - fault.afterBytes)))
        answer.destroy()
        // What was written leaves first.
        setImmediate(() => response.socket?.destroy())
        return
      }
      if (fault?.type === 'hang_answer' && sent >= fault.afterBytes) {
        response.write(chunk.subarray(0, chunk.length - (sent - fault.afterBytes)))
        answer.destroy()
        return
      }
      response.write(fault?.type === 'wrong_bytes' && first ? otherFirst(chunk) : chunk)
    })
    answer.on('end', () => response.end())
    answer.on('error', () => {
      if (fault?.type !== 'hang_answer') response.destroy()
    })
  })
  onward.on('error', () => response.destroy())
  // A client that left has nothing more for the server.
  response.on('close', () => {
    if (fault?.type === 'hang_upload') onward.destroy()
  })
  let taken = 0
  request.on('data', (chunk: Buffer) => {
    const first = taken === 0
    taken += chunk.length
    if (fault?.type === 'cut_upload' && taken >= fault.afterBytes) {
      onward.write(chunk.subarray(0, chunk.length - (taken - fault.afterBytes)), () => {
        onward.destroy()
        request.socket.resetAndDestroy()
      })
      return
    }
    if (fault?.type === 'hang_upload' && taken >= fault.afterBytes) {
      request.pause()
      return
    }
    onward.write(fault?.type === 'wrong_upload' && first ? otherFirst(chunk) : chunk)
  })
  request.on('end', () => onward.end())
}

function otherFirst(chunk: Buffer): Buffer {
  const changed = Buffer.from(chunk)
  changed[0] = (changed[0] ?? 0) ^ 1
  return changed
}
