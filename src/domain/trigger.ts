import { z } from 'zod'

/** Why a run starts, in one form, whatever it came from. */
export const triggerEvents = ['push', 'manual'] as const

/** A full commit id: 40 (SHA-1) or 64 (SHA-256) lower-case hex digits. */
export const Sha = z.string().regex(/^(?:[0-9a-f]{40}|[0-9a-f]{64})$/)

export const Actor = z.object({
  /** The sender's id from the signed body (`github:1234`), a token's name (`token:admin`), or `belay`. */
  id: z.string().min(1).max(200),
  name: z.string().max(200),
})
export type Actor = z.infer<typeof Actor>

export const Trigger = z.object({
  event: z.enum(triggerEvents),
  /** Where it came in. */
  source: z.enum(['hook', 'poll', 'api']),
  /** Full ref, e.g. `refs/heads/main`. Untrusted text. */
  ref: z.string().min(1).max(1000),
  /** Short branch name, e.g. `main`. Untrusted text. */
  branch: z.string().min(1).max(1000),
  sha: Sha,
  actor: Actor,
  /** First line of the head commit's message, for people to read. Untrusted text. */
  title: z.string().max(500),
})
export type Trigger = z.infer<typeof Trigger>

/**
 * What a forge makes of a delivery: something to start, or the reason why nothing starts. `head`: where a branch is since a
 * push that is to start nothing, so that nobody else starts it either.
 */
export type ParsedDelivery = { trigger: Trigger } | { ignored: string; head?: Pick<Trigger, 'branch' | 'sha'> }
