/**
 * What the keeper understands, as HTTP and JSON over its Unix socket. Answers are `{ answer }` or, with the HTTP status of
 * the code, `{ error: { code, message, hint, retryable } }`.
 *
 *   GET  /healthz                          the keeper is there
 *   GET  /environments                     `{ names }` of those that have an edge or instances
 *   GET  /environments/NAME                `EnvironmentView`
 *   DELETE /environments/NAME              drains, stops its instances, closes its edge; its number is kept
 *   PUT  /environments/NAME/edge           `EdgeRequest` → where it listens now
 *   POST /environments/NAME/stage          `StageRequest` → `InstanceView`
 *   POST /environments/NAME/activate       `ActivateRequest` → `{ previousDigest? }`
 *   POST /environments/NAME/command        `CommandRequest` → `{ failure?, tail }`, once it has ended
 *   POST /environments/NAME/retire, clear  `Operation` → `{}`
 *   POST /environments/NAME/route          `RouteRequest` → `{ previousDigest? }`
 *   POST /environments/NAME/announce       `Operation` → `{}`
 *   POST /environments/NAME/drained        `DrainedRequest` → `{}`, once nothing is under way there, after 30 s at the latest
 *   POST /stop                             drains, stops the applications, remembers what served
 *
 * Traffic goes to an instance of the keeper's (activate) or to upstreams that run elsewhere (route), whichever was said last: so an
 * environment goes over to another target like to another release. `route` then puts away what was here; what ran elsewhere is its
 * target's to remove. `announce` only raises the number.
 */
import { z } from 'zod'
import { edgeNames } from '../../drivers/edges/index.ts'
import { isHost } from '../../drivers/edges/upstream-host.ts'
import { Digest } from '../../domain/step.ts'

export const EnvironmentName = z.string().regex(/^[a-zA-Z0-9][a-zA-Z0-9._-]{0,62}$/)

const Host = z.string().max(255).refine(isHost, { error: 'expected an IP address or a host name' })

export const EdgeRequest = z.strictObject({
  driver: z.enum(edgeNames).default('embedded'),
  host: Host,
  port: z.number().int().min(0).max(65535),
})
export type EdgeRequest = z.infer<typeof EdgeRequest>

/** Names one operation; a repeat keeps both numbers and gets the recorded answer. */
export const Operation = z.strictObject({ fence: z.number().int().nonnegative(), operationId: z.string().min(1).max(500) })
export type Operation = z.infer<typeof Operation>

/** How to start something of a release: everything is decided, nothing is looked up. */
const Start = Operation.extend({
  /** The unpacked release, inside the directory of applications. */
  directory: z.string().startsWith('/'),
  /** Where it starts: that directory or one inside it. */
  workingDirectory: z.string().startsWith('/'),
  command: z.array(z.string()).min(1).max(1000),
  /** With the values of secrets; PORT and PATH are the keeper's. */
  env: z.record(z.string().regex(/^[^=\0]+$/), z.string()),
  /** Used when the keeper is root; absent: nobody. */
  user: z.strictObject({ uid: z.number().int().nonnegative(), gid: z.number().int().nonnegative() }).optional(),
})

/** A command that ends, with nothing of the applications touched. */
export const CommandRequest = Start.extend({ timeoutMs: z.number().int().positive() })
export type CommandRequest = z.infer<typeof CommandRequest>

export const StageRequest = Start.extend({
  digest: Digest,
  /** Traffic is taken off and all other instances are stopped before it starts. */
  alone: z.boolean().default(false),
})
export type StageRequest = z.input<typeof StageRequest>

export const ActivateRequest = Operation.extend({ digest: Digest })
export type ActivateRequest = z.infer<typeof ActivateRequest>

export const Upstream = z.strictObject({
  id: z.string().min(1).max(200),
  digest: Digest,
  host: Host,
  port: z.number().int().min(1).max(65535),
})

export const RouteRequest = Operation.extend({
  upstreams: z
    .array(Upstream)
    .min(1)
    .max(16)
    .refine((all) => new Set(all.map(({ digest }) => digest)).size === 1, { error: 'expected one digest' })
    .refine((all) => new Set(all.map(({ id }) => id)).size === all.length, { error: 'expected each instance once' }),
})
export type RouteRequest = z.infer<typeof RouteRequest>

export const DrainedRequest = z.strictObject({ instances: z.array(z.string().min(1).max(200)).max(64) })
export type DrainedRequest = z.infer<typeof DrainedRequest>

export interface InstanceView {
  id: string
  digest: string
  directory: string
  url: string
  /** Alive, or, once traffic went to it, about to be again. */
  running: boolean
  /** How its process ended, the last time it did. */
  exit?: string
  /** What it printed last, once it has ended: at most 8 KiB, with whatever secrets it printed. */
  tail?: string
  restarts: number
  inFlight: number
}

export interface EnvironmentView {
  edge?: EdgeRequest & { listening: boolean }
  fence: number
  active?: string
  instances: InstanceView[]
  /** Of an environment whose instances run elsewhere: where traffic goes. */
  upstreams: z.infer<typeof Upstream>[]
  /** By digest, since its last activation. */
  traffic: Record<string, { requests: number; errors: number }>
}
