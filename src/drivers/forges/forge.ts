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
  /** True if one of the secrets signed exactly these bytes; constant time in the signature; false if there is no secret. */
  verify(input: { headers: HookHeaders; body: Buffer; secrets: readonly string[] }): boolean
  /** The sender's own id of the delivery: the same for a redelivery. Undefined if the headers name none. */
  findDeliveryId(headers: HookHeaders): string | undefined
  /** Name of the event, for people. */
  eventOf(headers: HookHeaders): string
  /** A trigger, or why nothing starts. Unknown events and shapes are ignored with a reason, never an error. */
  parseDelivery(input: { headers: HookHeaders; body: unknown }): ParsedDelivery
}
