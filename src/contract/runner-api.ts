/**
 * What a runner says to the server over HTTP, below `/api/v1/runner`. Two kinds of bearer token: the runner's own
 * (role `runner`) for presence, plans, segment tokens and sweeping; the segment token, bound to (run, epoch, steps), for
 * everything that concerns a step. A lower epoch than the run's newest is refused with 409 `stale`, but for logs: the last of
 * them may come late.
 */
import { z } from 'zod'
import { RunEvent } from '../domain/run-event.ts'

export const runnerPaths = {
  presence: '/api/v1/runner/presence',
  segments: '/api/v1/runner/segments',
  plan: (digest: string) => `/api/v1/runner/plans/${encodeURIComponent(digest)}`,
  closed: '/api/v1/runner/closed',
  payloadKeys: '/api/v1/runner/payload-keys',
  events: '/api/v1/runner/events',
  secrets: '/api/v1/runner/secrets',
  log: (step: string, attempt: number) => `/api/v1/runner/logs/${encodeURIComponent(step)}/${String(attempt)}`,
  artifact: (digest: string) => `/api/v1/runner/artifacts/${encodeURIComponent(digest)}`,
} as const

/** POST presence, every 2 s, runner token. 204; 403 if another token speaks for this runner. */
export const PresenceReport = z.object({
  runner: z.string().regex(/^[a-z0-9][a-z0-9._-]{0,62}$/),
  slots: z.number().int().positive(),
  busy: z.number().int().nonnegative(),
  labels: z.array(z.string()),
})
export type PresenceReport = z.infer<typeof PresenceReport>
export const presenceIntervalMs = 2_000
export const presenceTimeoutMs = 10_000

/** GET payload-keys, runner token: the names of the keys of what goes through Temporal. `encrypts` absent: none does. */
export const PayloadKeys = z.object({ encrypts: z.string().optional(), knows: z.array(z.string()) })

/**
 * POST segments, runner token: asks for a segment token. 200, 403 the workspace was not given to the runner that the token
 * speaks for, 404 unknown run, 409 another plan or stale epoch.
 */
export const SegmentTokenRequest = z.object({
  runner: z.string(),
  runId: z.uuid(),
  epoch: z.number().int().nonnegative(),
  planDigest: z.string(),
  /** Step ids; an undo is named by its step, a `finally` step by its own id. The server checks them against the Plan. */
  steps: z.array(z.string()).min(1),
  /** Lifetime asked for; the server grants at most 24 h. */
  lifetimeMs: z.number().int().positive(),
})
export type SegmentTokenRequest = z.infer<typeof SegmentTokenRequest>
export const SegmentToken = z.object({ token: z.string(), expiresAt: z.number() })
export type SegmentToken = z.infer<typeof SegmentToken>

/** POST closed, runner token: which of these runs have ended? Their directories may go. */
export const ClosedRequest = z.object({ runIds: z.array(z.uuid()).max(1000) })
export const ClosedResponse = z.object({ closed: z.array(z.uuid()) })

/** POST events, segment token: early news. 204. Only events of type `step`, of the token's own steps and epoch. */
export const EventsReport = z.object({ events: z.array(RunEvent).max(200) })
export type EventsReport = z.infer<typeof EventsReport>

/**
 * POST secrets, segment token: the values that the Plan binds to this step, and its registry's credentials. Marks the attempt as
 * started, writes the audit rows, then answers. 200, 403 not bound or not allowed, 424 (`refused`) not resolvable.
 */
export const SecretsRequest = z.object({
  step: z.string(),
  attempt: z.number().int().positive(),
  part: z.enum(['step', 'undo', 'finally']),
})
export type SecretsRequest = z.infer<typeof SecretsRequest>
export const SecretsResponse = z.object({
  /** Of a `build_image` step: by the id of the secret. */
  env: z.record(z.string(), z.string()),
  /** The registry that a `build_image` step pushes to. */
  registry: z
    .object({ name: z.string(), url: z.string(), username: z.string().optional(), password: z.string().optional() })
    .optional(),
})
export type SecretsResponse = z.infer<typeof SecretsResponse>

/**
 * PUT log, segment token, `application/octet-stream`, at most 1 MiB, `?offset=N[&part=undo][&final=1]`. The bytes are masked already.
 * 200 `{end}`: taken, or an overlap of which the new part was taken. 409 with `{end}`: a gap; send from `end`.
 * `final=1` closes the log of (step, attempt, epoch). Full (100 MB): 200, the rest is dropped and `truncated` is true.
 */
export const LogAppended = z.object({ end: z.number().int().nonnegative(), truncated: z.boolean() })
export type LogAppended = z.infer<typeof LogAppended>
export const logChunkBytes = 1024 * 1024
export const logLimitBytes = 100 * 1024 * 1024

/** PUT artifact, segment token, raw bytes: 201 stored, 200 already there, 422 the bytes have another digest. GET, either token: the bytes. */
