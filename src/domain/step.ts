import { z } from 'zod'

/** States of a step, in the order in which an attempt may pass through them (see `rankOf`). */
export const stepStatuses = [
  'queued',
  'waiting',
  'running',
  'succeeded',
  'failed',
  'errored',
  'timed_out',
  'cancelled',
  'skipped',
] as const
export const StepStatus = z.enum(stepStatuses)
export type StepStatus = z.infer<typeof StepStatus>

/** States in which an attempt has ended. */
export const outcomeStatuses = ['succeeded', 'failed', 'errored', 'timed_out', 'cancelled', 'skipped'] as const
export const OutcomeStatus = z.enum(outcomeStatuses)
export type OutcomeStatus = z.infer<typeof OutcomeStatus>

/** `sha256:` and 64 hex digits. */
export const Digest = z.string().regex(/^sha256:[0-9a-f]{64}$/)
export type Digest = z.infer<typeof Digest>

/** One file that a step declared and that was kept: by digest, immutable. */
export const Artifact = z.object({
  /** Path inside the workspace, `/`-separated, no `..`. */
  path: z.string().min(1).max(4096),
  digest: Digest,
  sizeBytes: z.number().int().nonnegative(),
  /** True if the file was executable. */
  executable: z.boolean(),
})
export type Artifact = z.infer<typeof Artifact>

/** An image: named by digest, only. It lies in a registry, or without one in an OCI image layout on disk. */
export const Image = z.object({
  /** Name of the layout below the images directory, e.g. `shop/app`; in a registry its first part is the registry's name. */
  repository: z.string().regex(/^[a-z0-9]+(?:[._/-][a-z0-9]+)*$/),
  /** Digest of the image manifest. */
  digest: Digest,
  /** The operator's name of the registry that holds it; there the image's name is `repository` without its first part. */
  registry: z.string().optional(),
})
export type Image = z.infer<typeof Image>

/** The whole workspace as it was after a step: kept by digest, so that another runner can go on from there. */
export const Checkpoint = z.object({
  digest: Digest,
  sizeBytes: z.number().int().nonnegative(),
  /** The steps whose work is in it. */
  steps: z.array(z.string()),
})
export type Checkpoint = z.infer<typeof Checkpoint>

/** What a step left behind for the steps that need it. */
export const StepResult = z.object({
  artifacts: z.array(Artifact).optional(),
  checkpoint: Checkpoint.optional(),
  image: Image.optional(),
  /** The release that a `release` step made. */
  release: z.object({ id: z.string(), number: z.number().int(), version: z.string() }).optional(),
  /** The deployments that a `deploy` step made, by environment. */
  deployments: z
    .array(
      z.object({
        environment: z.string(),
        deploymentId: z.string(),
        /** The request that it answered; absent: that of the same attempt, or recorded by a version that did not note it. */
        requestId: z.string().optional(),
      }),
    )
    .optional(),
})
export type StepResult = z.infer<typeof StepResult>

/** How one attempt of a step ended: a fact, stored as it was returned and never derived again. */
export const Outcome = z.object({
  step: z.string(),
  /** From 1; a retry is the next attempt, an interruption is not. */
  attempt: z.number().int().positive(),
  /** The workspace's epoch it ran under; 0 for what needs no workspace. */
  epoch: z.number().int().nonnegative(),
  status: OutcomeStatus,
  /** Milliseconds since 1970, UTC. Absent for a step that never started. */
  startedAt: z.number().optional(),
  endedAt: z.number(),
  /** Set when the step may be tried again: not before this moment (ms since 1970). */
  retryAt: z.number().optional(),
  exitCode: z.number().int().optional(),
  signal: z.string().optional(),
  /** One sentence for people; masked. */
  reason: z.string().optional(),
  /** Last lines of the output of a step that did not succeed; masked, at most 2 KiB. */
  tail: z.string().optional(),
  result: StepResult.optional(),
  /** What the attempt had done was lost with its runner: it is done again, and the attempt counts for nothing. */
  lost: z.literal(true).optional(),
})
export type Outcome = z.infer<typeof Outcome>

/** An attempt moves only forward: a row is replaced only by one of a higher (epoch, rank). */
export function rankOf(status: StepStatus): number {
  switch (status) {
    case 'queued':
      return 0
    case 'waiting':
      return 1
    case 'running':
      return 2
    default:
      return 3
  }
}

export function isEndedStep(status: StepStatus): status is OutcomeStatus {
  return rankOf(status) === 3
}
