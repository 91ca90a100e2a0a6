import { z } from 'zod'

const unitsMs = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const

/** `250ms`, `30s`, `5m`, `2h`, `1d` → ms. Undefined if it is none of these. */
export function parseDurationMs(text: string): number | undefined {
  const match = /^(\d{1,9})(ms|s|m|h|d)$/.exec(text)
  if (match === null) return undefined
  return Number(match[1]) * unitsMs[match[2] as keyof typeof unitsMs]
}

export interface Address {
  host: string
  port: number
}

/** `127.0.0.1:8080`, `localhost:8080`, `[::1]:8080`. Undefined if it is none of these. */
export function parseAddress(text: string): Address | undefined {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9.-]+)):(\d{1,5})$/.exec(text)
  const host = match?.[1] ?? match?.[2]
  const port = Number(match?.[3])
  return host === undefined || port > 65_535 ? undefined : { host, port }
}

export function formatAddress({ host, port }: Address): string {
  return `${host.includes(':') ? `[${host}]` : host}:${String(port)}`
}

/** A duration in the file, as ms. */
export const Duration = z.string({ error: 'expected a duration' }).transform((text, context) => {
  const ms = parseDurationMs(text)
  if (ms !== undefined && ms > 0) return ms
  context.addIssue({ code: 'custom', message: 'expected a duration', params: { hint: 'Write 250ms, 30s, 5m, 2h or 1d.' } })
  return z.NEVER
})

const unitsBytes = { K: 1024, M: 1024 ** 2, G: 1024 ** 3 } as const

/** A size in the file, as bytes. */
export const Size = z.string({ error: 'expected a size' }).transform((text, context) => {
  const match = /^(\d{1,7})([KMG])$/.exec(text)
  const bytes = match === null ? 0 : Number(match[1]) * unitsBytes[match[2] as keyof typeof unitsBytes]
  if (bytes >= leastMemory) return bytes
  context.addIssue({ code: 'custom', message: 'expected a size', params: { hint: 'Write 512M or 2G; at least 6M.' } })
  return z.NEVER
})
/** An engine takes no less. */
const leastMemory = 6 * unitsBytes.M

/** An address to listen at, with a port of its own. */
export const ListenAddress = z.string({ error: 'expected host:port' }).transform((text, context) => {
  const address = parseAddress(text)
  if (address !== undefined && address.port > 0) return address
  context.addIssue({ code: 'custom', message: 'expected host:port', params: { hint: 'For example 127.0.0.1:8080.' } })
  return z.NEVER
})
