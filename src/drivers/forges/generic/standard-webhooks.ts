/** Standard Webhooks: how a delivery is signed. Format: standardwebhooks.com, version 1.0.0, its symmetric signatures. */
import type { Forge, HookHeaders } from '../forge.ts'
import { isSigned } from '../hmac.ts'

const toleranceMs = 5 * 60_000

/** A dot would let parts of one signed message pass as another. */
export const webhookId = /^[\w:-]{1,100}$/

export function verifyWebhook({ headers, body, secrets, now }: Parameters<Forge['verify']>[0]): boolean {
  const id = textIn(headers, 'webhook-id')
  const timestamp = textIn(headers, 'webhook-timestamp')
  const signed = isSigned({
    signatures: signaturesIn(textIn(headers, 'webhook-signature')),
    message: [`${id}.${timestamp}.`, body],
    keys: secrets.flatMap(keysOf),
  })
  // Asked after the signature, so that a late delivery costs the same work.
  const sentAt = /^\d{1,12}$/.test(timestamp) ? Number(timestamp) * 1_000 : Number.NaN
  return webhookId.test(id) && Math.abs(now - sentAt) <= toleranceMs && signed
}

/** Several while the sender rotates its secret, separated by spaces; those of other schemes (`v1a,`) are nothing to us. */
function signaturesIn(header: string): Buffer[] {
  return header.split(' ').flatMap((part) => {
    const text = /^v1,([A-Za-z0-9+/]{43}=)$/.exec(part)?.[1]
    return text === undefined ? [] : [Buffer.from(text, 'base64')]
  })
}

const base64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/
const prefix = 'whsec_'

/** After the prefix it is base64. Without, text that could be base64 (also hex) is used by some senders as it is, so both may be meant. */
function keysOf(secret: string): (string | Buffer)[] {
  const text = secret.startsWith(prefix) ? secret.slice(prefix.length) : secret
  if (!base64.test(text)) return [secret]
  const decoded = Buffer.from(text, 'base64')
  return text === secret ? [secret, decoded] : [decoded]
}

function textIn(headers: HookHeaders, name: string): string {
  const value = headers[name]
  return typeof value === 'string' ? value : ''
}
