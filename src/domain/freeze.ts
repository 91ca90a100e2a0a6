import { z } from 'zod'
import { ReleaseRef } from './release.ts'
import { Actor } from './trigger.ts'

/** When nothing is to be deployed: once, or again and again by the clock of a time zone. */
export const FreezeTimes = z.discriminatedUnion('type', [
  z.object({ type: z.literal('once'), from: z.number(), until: z.number(), timeZone: z.string() }),
  /** From each match of the cron expression, for so long on that clock. */
  z.object({ type: z.literal('recurring'), cron: z.string(), forMs: z.number(), timeZone: z.string() }),
])
export type FreezeTimes = z.infer<typeof FreezeTimes>

/** A freeze window: runs' deployments wait for its end. */
export const Freeze = z.object({
  id: z.string(),
  times: FreezeTimes,
  actor: Actor,
  reason: z.string().max(500).optional(),
  /** When it was said. */
  at: z.number(),
})
export type Freeze = z.infer<typeof Freeze>

/** Why what is queued waits, in words for people, and for how long at least. */
export const Held = z.object({ until: z.number(), reason: z.string() })
export type Held = z.infer<typeof Held>

/** A release that may not come (again) to an environment; what has the same image may not either. */
export const BlockedRelease = z.object({
  release: ReleaseRef,
  actor: Actor,
  reason: z.string().max(500).optional(),
  at: z.number(),
})
export type BlockedRelease = z.infer<typeof BlockedRelease>

/** How many windows and blocked releases an environment takes: its whole state travels with it. */
export const freezeLimit = 50
export const blockLimit = 200
