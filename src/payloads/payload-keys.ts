import { createHash } from 'node:crypto'
import { BelayError } from '../domain/errors.ts'

export interface PayloadKey {
  /** Made from the key, and tells nothing of it: what was encrypted names it. */
  id: string
  /** 32 bytes. */
  key: Buffer
}

/**
 * Keys as they are written: 32 random bytes in base64 or hex. A text may hold several, one a line. The first encrypts, all
 * decrypt. Throws `invalid_config`, and never repeats anything of a key.
 */
export function parsePayloadKeys(texts: readonly string[]): PayloadKey[] {
  const lines = texts.flatMap((text) => text.split('\n')).map((line) => line.trim())
  return lines.filter((line) => line !== '').map(parseKey)
}

function parseKey(text: string, index: number): PayloadKey {
  const key = /^[0-9a-f]{64}$/i.test(text) ? Buffer.from(text, 'hex') : Buffer.from(text, 'base64')
  if (key.length === 32 && /^(?:[0-9a-f]{64}|[A-Za-z0-9+/]{43}=)$/i.test(text)) return { id: idOf(key), key }
  throw new BelayError({
    code: 'invalid_config',
    message: `key ${String(index + 1)} of the payload keys is not 32 bytes in base64 or hex`,
    hint: 'Make one: openssl rand -base64 32.',
  })
}

function idOf(key: Buffer): string {
  return createHash('sha256').update('belay payload key\0').update(key).digest('hex').slice(0, 16)
}

/** What others may know of keys. */
export interface KnownKeys {
  /** Absent: nothing is encrypted. */
  encrypts?: string
  knows: string[]
}

export function knownKeysOf(texts: readonly string[]): KnownKeys {
  const knows = parsePayloadKeys(texts).map(({ id }) => id)
  const [encrypts] = knows
  return { knows, ...(encrypts === undefined ? {} : { encrypts }) }
}

export function missingKey(id: string): BelayError {
  return new BelayError({
    code: 'missing_part',
    message: `what goes through Temporal is encrypted with the key ${id}, and that one is not here`,
    hint: 'Add it to `encryption.key` in belay.config.yml, of a runner to BELAY_PAYLOAD_KEY_FILE; until then what needs it waits.',
    retryable: true,
  })
}
