import type { IncomingMessage } from 'node:http'

/**
 * The X-Forwarded headers for the application. The client's address is added to the list; what a client says about
 * protocol and host counts only from this machine, where another proxy may stand in front.
 */
export function forwardedHeaders(request: IncomingMessage): Record<string, string> {
  const { headers } = request
  const peer = request.socket.remoteAddress ?? ''
  const before = text(headers['x-forwarded-for'])
  const said = isLoopback(peer) ? headers : {}
  return {
    'x-forwarded-for': before === undefined ? peer : `${before}, ${peer}`,
    'x-forwarded-proto': text(said['x-forwarded-proto']) ?? 'http',
    'x-forwarded-host': text(said['x-forwarded-host']) ?? headers.host ?? '',
    'x-forwarded-port': text(said['x-forwarded-port']) ?? String(request.socket.localPort ?? ''),
  }
}

function text(header: string | string[] | undefined): string | undefined {
  return Array.isArray(header) ? header.join(', ') : header
}

function isLoopback(address: string): boolean {
  return address === '::1' || address.startsWith('127.') || address.startsWith('::ffff:127.')
}
