import { createHmac, timingSafeEqual } from 'node:crypto'

export interface SignedMessage {
  /** What came with it, 32 bytes each; none: nobody signed. */
  signatures: readonly Buffer[]
  /** Exactly the bytes that were signed, in order. */
  message: readonly (string | Buffer)[]
  /** Text is used as its UTF-8 bytes. */
  keys: readonly (string | Buffer)[]
}

/** True if one of the keys made one of the signatures, by HMAC-SHA256. An empty key signs nothing. */
export function isSigned({ signatures, message, keys }: SignedMessage): boolean {
  const given = signatures.length > 0 ? signatures : [Buffer.alloc(32)]
  // Every key meets every signature whatever the others say, so the time tells nothing about which of them matched.
  const matches = keys.flatMap((key) => {
    const hmac = createHmac('sha256', key)
    for (const part of message) hmac.update(part)
    const expected = hmac.digest()
    return given.map((signature) => timingSafeEqual(expected, signature) && key.length > 0)
  })
  return signatures.length > 0 && matches.includes(true)
}

/** The signature in 64 hex digits; empty for anything else. */
export function readHexSignature(hex: unknown): Buffer[] {
  return typeof hex === 'string' && /^[0-9a-f]{64}$/i.test(hex) ? [Buffer.from(hex, 'hex')] : []
}
