import type { Forge } from '../forge.ts'
import { parsePush } from './push.ts'
import { githubStatuses } from './statuses.ts'
import { verifySignature } from './signature.ts'

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
  verify: ({ headers, body, secrets }) => verifySignature({ signature: headers['x-hub-signature-256'], body, secrets }),
  findDeliveryId(headers) {
    const id = headers['x-github-delivery']
    return typeof id === 'string' && /^[\w.:-]{1,100}$/.test(id) ? id : undefined
  },
  eventOf(headers) {
    const event = headers['x-github-event']
    return typeof event === 'string' ? event.slice(0, 100) : 'unknown'
  },
  parseDelivery({ headers, body }) {
    const event = github.eventOf(headers)
    switch (event) {
      case 'ping':
        return { ignored: 'ping' }
      case 'push':
        return parsePush(body)
      case 'pull_request':
      case 'create':
      case 'delete':
        return { ignored: `event ${event}: not yet` }
      default:
        return { ignored: `event ${JSON.stringify(event)} starts nothing` }
    }
  },
}
