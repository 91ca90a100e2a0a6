import { createHmac, timingSafeEqual } from 'node:crypto'

export interface SignatureInput {
  /** The header `X-Hub-Signature-256`: `sha256=` and 64 hex digits. */
  signature: string | string[] | undefined
  body: Buffer
  secrets: readonly string[]
}

/** True if one of the secrets made this signature over exactly these bytes. An empty secret signs nothing. */
export function verifySignature({ signature, body, secrets }: SignatureInput): boolean {
  const given = digestOf(signature)
  // All secrets are tried whatever the first says, so the time tells nothing about which of them matched.
  const matches = secrets.map((secret) => {
    const expected = createHmac('sha256', secret).update(body).digest()
    return timingSafeEqual(expected, given ?? Buffer.alloc(expected.length)) && secret !== ''
  })
  return given !== undefined && matches.includes(true)
}

function digestOf(signature: SignatureInput['signature']): Buffer | undefined {
  if (typeof signature !== 'string') return undefined
  const hex = /^sha256=([0-9a-f]{64})$/i.exec(signature)?.[1]
  return hex === undefined ? undefined : Buffer.from(hex, 'hex')
}
