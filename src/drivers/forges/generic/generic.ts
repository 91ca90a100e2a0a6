import { z } from 'zod'
import type { ParsedDelivery } from '../../../domain/trigger.ts'
import { readEvent, type Forge } from '../forge.ts'
import { Ref, decidePush, ignoreShape } from '../push.ts'
import { verifyWebhook, webhookId } from './standard-webhooks.ts'

/** Any sender that signs by Standard Webhooks. The body is our own: docs/operations.md has it. */
export const generic: Forge = {
  name: 'generic',
  recognises: (headers) => typeof headers['webhook-id'] === 'string',
  verify: verifyWebhook,
  findDeliveryId(headers) {
    const id = headers['webhook-id']
    return typeof id === 'string' && webhookId.test(id) ? id : undefined
  },
  eventOf: ({ body }) => readEvent(typeIn(body)),
  parseDelivery({ body }) {
    const type = typeIn(body)
    if (type === undefined) return { ignored: 'the body has no `type` of letters, digits, ., _ and -' }
    return type === 'push' ? parseOwnPush(body) : { ignored: `type ${type} starts nothing` }
  },
}

const Typed = z.object({ type: z.string().regex(/^[\w.-]{1,100}$/) })

function typeIn(body: unknown): string | undefined {
  return Typed.safeParse(body).data?.type
}

const Push = z.object({
  ref: Ref,
  sha: z.string(),
  title: z.string().default(''),
  sender: z.object({ id: z.string().regex(/^\P{Cc}{1,180}$/u), name: z.string().optional() }),
})

function parseOwnPush(body: unknown): ParsedDelivery {
  const parsed = Push.safeParse(body)
  if (!parsed.success) return ignoreShape(parsed.error)
  const { ref, sha, title, sender } = parsed.data
  return decidePush({ ref, sha, message: title, actor: { id: `generic:${sender.id}`, name: sender.name ?? sender.id } })
}
