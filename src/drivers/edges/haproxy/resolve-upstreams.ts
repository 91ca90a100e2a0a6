import { lookup } from 'node:dns/promises'
import { isIP } from 'node:net'
import { BelayError, messageOf } from '../../../domain/errors.ts'
import type { Upstream } from '../edge.ts'
import { isHost } from '../upstream-host.ts'
import { slotsPerColour } from './slots.ts'

export interface Resolved {
  upstream: Upstream
  address: string
}

/** HAProxy is told addresses: names are looked up once, when traffic is sent there. */
export async function resolveUpstreams(upstreams: readonly Upstream[]): Promise<Resolved[]> {
  if (upstreams.length > slotsPerColour) {
    throw new BelayError({
      code: 'refused',
      message: `${String(upstreams.length)} instances are more than the ${String(slotsPerColour)} that the edge has places for`,
    })
  }
  return Promise.all(upstreams.map(async (upstream) => ({ upstream, address: await resolve(upstream.host) })))
}

async function resolve(host: string): Promise<string> {
  if (!isHost(host)) {
    throw new BelayError({ code: 'invalid_input', message: `${JSON.stringify(host)} is not an IP address or a host name` })
  }
  if (isIP(host) !== 0) return host
  try {
    return (await lookup(host)).address
  } catch (error) {
    throw new BelayError({
      code: 'unavailable',
      message: `no address for ${host}: ${messageOf(error)}`,
      retryable: true,
      cause: error,
    })
  }
}

/** The same address in whatever spelling. */
export function sameAddress(a: string, b: string): boolean {
  return canonical(a) === canonical(b)
}

function canonical(address: string): string {
  return isIP(address) === 6 ? new URL(`http://[${address}]/`).hostname : address
}
