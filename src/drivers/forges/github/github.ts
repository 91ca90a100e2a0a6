import { readDeliveryId, readEvent, type Forge, type HookHeaders } from '../forge.ts'
import { isSigned, readHexSignature } from '../hmac.ts'
import { parsePush } from '../push.ts'
import { githubStatuses } from './statuses.ts'

/**
 * GitHub, and GitHub Enterprise Server. Format: docs.github.com, "Webhook events and payloads" and "Validating webhook
 * deliveries". Gitea and Forgejo send GitHub's headers too; a delivery of theirs is not ours.
 */
export const github: Forge = {
  name: 'github',
  statuses: githubStatuses,
  recognises: (headers) =>
    typeof headers['x-github-event'] === 'string' &&
    headers['x-gitea-event'] === undefined &&
    headers['x-forgejo-event'] === undefined,
  verify: ({ headers, body, secrets }) => isSigned({ signatures: signaturesIn(headers), message: [body], keys: secrets }),
  findDeliveryId: (headers) => readDeliveryId(headers['x-github-delivery']),
  eventOf: ({ headers }) => readEvent(headers['x-github-event']),
  parseDelivery({ headers, body }) {
    const event = readEvent(headers['x-github-event'])
    switch (event) {
      case 'ping':
        return { ignored: 'ping' }
      case 'push':
        return parsePush(body, 'github')
      case 'pull_request':
      case 'create':
      case 'delete':
        return { ignored: `event ${event}: not yet` }
      default:
        return { ignored: `event ${JSON.stringify(event)} starts nothing` }
    }
  },
}

/** `sha256=` and 64 hex digits. */
function signaturesIn({ 'x-hub-signature-256': signature }: HookHeaders): Buffer[] {
  return typeof signature === 'string' && signature.startsWith('sha256=')
    ? readHexSignature(signature.slice('sha256='.length))
    : []
}
