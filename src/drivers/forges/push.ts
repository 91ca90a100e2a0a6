/** What a push starts, and why one starts nothing: by the same rules for every forge. */
import { z } from 'zod'
import { Trigger, type Actor, type ParsedDelivery } from '../../domain/trigger.ts'

export interface Push {
  ref: string
  /** What the ref points to now; zeros: it is gone. */
  sha: string
  deleted?: boolean | undefined
  /** Of the head commit; empty if it is not known. */
  message: string
  actor: Actor
}

/** Git has no ref with a space or a control character, and no store should meet one. */
export const Ref = z.string().regex(/^[^\p{Cc} ]+$/u)

/** GitHub's shape, which Gitea and Forgejo took over. `sender` is who pushed, as signed; an author field says whatever its commit says. */
const Payload = z.object({
  ref: Ref,
  after: z.string(),
  deleted: z.boolean().optional(),
  head_commit: z.object({ message: z.string() }).nullish(),
  // Gitea's own users have negative ids: its Actions push as -2.
  sender: z.object({ id: z.int(), login: z.string() }),
})

/** `forge` is whose ids the senders' are. */
export function parsePush(body: unknown, forge: string): ParsedDelivery {
  const parsed = Payload.safeParse(body)
  if (!parsed.success) return ignoreShape(parsed.error)
  const { ref, after: sha, deleted, head_commit: head, sender } = parsed.data
  const actor = { id: `${forge}:${String(sender.id)}`, name: sender.login }
  return decidePush({ ref, sha, deleted, message: head?.message ?? '', actor })
}

export function decidePush(push: Push): ParsedDelivery {
  const reason = findReasonToIgnore(push)
  if (reason !== undefined) return { ignored: reason }
  const parsed = Trigger.safeParse(triggerOf(push))
  if (!parsed.success) return ignoreShape(parsed.error)
  const trigger = parsed.data
  const word = skipWords.exec(push.message)?.[0]
  if (word === undefined) return { trigger }
  return { ignored: `${word} in the head commit`, head: { branch: trigger.branch, sha: trigger.sha } }
}

/** Where it differs, by path only: what was sent is not repeated. */
export function ignoreShape(error: z.ZodError): ParsedDelivery {
  const paths = error.issues.slice(0, 3).map((issue) => issue.path.join('.') || 'body')
  return { ignored: `push of an unknown shape: ${paths.join(', ')}` }
}

const branchPrefix = 'refs/heads/'
const skipWords = /\[(?:skip ci|ci skip)\]/i

function findReasonToIgnore({ ref, sha, deleted }: Push): string | undefined {
  if (ref.startsWith('refs/tags/')) return 'tags: not yet'
  if (!ref.startsWith(branchPrefix)) return 'neither a branch nor a tag'
  return deleted === true || /^0+$/.test(sha) ? 'the branch was deleted' : undefined
}

function triggerOf({ ref, sha, message, actor }: Push): Trigger {
  const [title = ''] = message.split('\n')
  return {
    event: 'push',
    source: 'hook',
    ref,
    branch: ref.slice(branchPrefix.length),
    sha,
    actor: { id: actor.id, name: actor.name.slice(0, 200) },
    title: title.trim().slice(0, 500) || sha.slice(0, 12),
  }
}
