import type { ParsedDelivery } from '../../domain/trigger.ts'

/** Request headers, lower-case names, as Node gives them. */
export type HookHeaders = Readonly<Record<string, string | string[] | undefined>>

/**
 * A Git host that sends webhooks. All functions are pure: they read headers and bytes, nothing else, never throw on
 * hostile input, and may be called any number of times at once.
 */
export interface Forge {
  readonly name: string
  /** Is this one of ours, by its headers? */
  recognises(headers: HookHeaders): boolean
  /**
   * True if one of the secrets signed exactly these bytes; constant time in the signature; false if there is no secret. `now`
   * (ms) is for forges that sign a timestamp: one too far from it is false, for the same work.
   */
  verify(input: { headers: HookHeaders; body: Buffer; secrets: readonly string[]; now: number }): boolean
  /** The sender's own id of the delivery: the same for a redelivery. Undefined if the headers name none. */
  findDeliveryId(headers: HookHeaders): string | undefined
  /** Name of the event, for people: at most 100 characters. */
  eventOf(input: { headers: HookHeaders; body: unknown }): string
  /** A trigger, or why nothing starts. Unknown events and shapes are ignored with a reason, never an error. */
  parseDelivery(input: { headers: HookHeaders; body: unknown }): ParsedDelivery
  /** How it is told what became of a commit; absent: it cannot be told. The one part of a forge that reaches the network. */
  statuses?: CommitStatuses
}

/** What is there, in a shape that any forge's delivery id has; the store keeps it. */
export function readDeliveryId(header: HookHeaders[string]): string | undefined {
  return typeof header === 'string' && /^[\w.:-]{1,100}$/.test(header) ? header : undefined
}

export function readEvent(name: HookHeaders[string]): string {
  return typeof name === 'string' ? name.slice(0, 100) : 'unknown'
}

export const commitStates = ['pending', 'success', 'failure', 'error'] as const
export type CommitState = (typeof commitStates)[number]

export interface CommitStatus {
  /** https, http, ssh or file URL of the repository, as the operator wrote it. */
  repository: string
  /** Base URL of the API; absent: by the repository's host. */
  apiUrl?: string | undefined
  token: string
  sha: string
  state: CommitState
  /** `belay/<pipeline>`. */
  context: string
  /** One line for people; cut to what the forge takes. */
  description: string
  /** Where a reader finds more. */
  targetUrl: string
}

/** `later`: away, too busy (`afterMs` if it said so) or silent; `refused`: it understood and will never take it. */
export type StatusAnswer = { type: 'taken' } | { type: 'later'; why: string; afterMs?: number } | { type: 'refused'; why: string }

export interface CommitStatuses {
  /** Sends one. Bounded by 20 s; never throws for what the other side does; no answer's text or error holds the token. */
  send(status: CommitStatus, signal: AbortSignal): Promise<StatusAnswer>
}
