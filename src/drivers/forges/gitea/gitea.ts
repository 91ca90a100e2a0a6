import { readDeliveryId, readEvent, type Forge, type HookHeaders } from '../forge.ts'
import { isSigned, readHexSignature } from '../hmac.ts'
import { parsePush } from '../push.ts'
import { giteaStatuses } from './statuses.ts'

export const gitea = createGitea('gitea')
export const forgejo = createGitea('forgejo')

/**
 * Gitea, and Forgejo, which came of it: one format, told apart only in whose ids the senders' are. Format: docs.gitea.com and
 * forgejo.org, "Webhooks". Both send GitHub's headers as well, with the same values; only their own are read.
 */
function createGitea(name: 'gitea' | 'forgejo'): Forge {
  return {
    name,
    statuses: giteaStatuses,
    recognises: (headers) => typeof eventIn(headers) === 'string',
    verify: ({ headers, body, secrets }) =>
      isSigned({ signatures: readHexSignature(signatureIn(headers)), message: [body], keys: secrets }),
    findDeliveryId: (headers) => readDeliveryId(headers['x-gitea-delivery'] ?? headers['x-forgejo-delivery']),
    eventOf: ({ headers }) => readEvent(eventIn(headers)),
    parseDelivery({ headers, body }) {
      const event = readEvent(eventIn(headers))
      switch (event) {
        case 'push':
          return parsePush(body, name)
        case 'create':
          return { ignored: 'event create: its push is what counts' }
        case 'delete':
        case 'pull_request':
          return { ignored: `event ${event}: not yet` }
        default:
          return { ignored: `event ${JSON.stringify(event)} starts nothing` }
      }
    },
  }
}

type Header = HookHeaders[string]

function eventIn(headers: HookHeaders): Header {
  return headers['x-forgejo-event'] ?? headers['x-gitea-event']
}

/** 64 hex digits; blank if the webhook has no secret. Where Forgejo's own is there, no other stands in for it. */
function signatureIn(headers: HookHeaders): Header {
  return headers['x-forgejo-signature'] ?? headers['x-gitea-signature']
}
