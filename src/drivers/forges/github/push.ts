import { z } from 'zod'
import { Trigger, type ParsedDelivery } from '../../../domain/trigger.ts'

/** As much of a push as we read; `sender` is who pushed, as signed, while an author field says whatever its commit says. */
const Push = z.object({
  ref: z.string(),
  after: z.string(),
  deleted: z.boolean().optional(),
  head_commit: z.object({ message: z.string() }).nullish(),
  sender: z.object({ id: z.number().int().nonnegative(), login: z.string() }),
})
type Push = z.infer<typeof Push>

const branchPrefix = 'refs/heads/'
const skipWords = /\[(?:skip ci|ci skip)\]/i

export function parsePush(body: unknown): ParsedDelivery {
  const parsed = Push.safeParse(body)
  if (!parsed.success) return { ignored: `push of an unknown shape: ${describe(parsed.error)}` }
  const push = parsed.data
  const reason = findReasonToIgnore(push)
  if (reason !== undefined) return { ignored: reason }
  const trigger = Trigger.safeParse(triggerOf(push))
  return trigger.success ? { trigger: trigger.data } : { ignored: `push of an unknown shape: ${describe(trigger.error)}` }
}

function findReasonToIgnore(push: Push): string | undefined {
  if (push.ref.startsWith('refs/tags/')) return 'tags: not yet'
  if (!push.ref.startsWith(branchPrefix)) return 'neither a branch nor a tag'
  if (push.deleted === true || /^0+$/.test(push.after)) return 'the branch was deleted'
  const word = skipWords.exec(push.head_commit?.message ?? '')?.[0]
  return word === undefined ? undefined : `${word} in the head commit`
}

function triggerOf(push: Push): Trigger {
  const [title = ''] = (push.head_commit?.message ?? '').split('\n')
  return {
    event: 'push',
    source: 'hook',
    ref: push.ref,
    branch: push.ref.slice(branchPrefix.length),
    sha: push.after,
    actor: { id: `github:${String(push.sender.id)}`, name: push.sender.login.slice(0, 200) },
    title: title.trim().slice(0, 500) || push.after.slice(0, 12),
  }
}

/** Where it differs, by path only: what was sent is not repeated. */
function describe(error: z.ZodError): string {
  return error.issues
    .slice(0, 3)
    .map((issue) => issue.path.join('.') || 'body')
    .join(', ')
}
