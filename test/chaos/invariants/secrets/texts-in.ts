/** All texts and bytes of a history, with payloads as what they hold. */

export function bytesIn(value: unknown): Buffer {
  const parts: Buffer[] = []
  collect(value, parts)
  return Buffer.concat(parts)
}

const between = Buffer.from('\n')

function collect(value: unknown, parts: Buffer[]): void {
  if (typeof value === 'string') parts.push(Buffer.from(value), between)
  else if (value instanceof Uint8Array) parts.push(Buffer.from(value), between)
  else if (typeof value === 'object' && value !== null) for (const inner of Object.values(value)) collect(inner, parts)
}
