import { z } from 'zod'
import { Deployment, EnvironmentState, Served } from '../domain/environment.ts'
import { Freeze, Held } from '../domain/freeze.ts'
import { EnvValue } from '../domain/plan.ts'
import { ReleaseRef } from '../domain/release.ts'
import { pageOf } from './pages.ts'

const state = EnvironmentState.shape

/** An environment as lists show it. */
export const EnvironmentView = z.object({
  name: z.string(),
  target: z.string(),
  /** Where its edge answers. */
  url: z.string(),
  /** Absent: nothing is deployed. */
  current: state.current,
  /** The deployment in progress. */
  active: state.active,
  /** Deployments and rollbacks that wait. */
  queued: z.number().int(),
  /** Absent: it is not frozen now. */
  frozen: Held.optional(),
})
export type EnvironmentView = z.infer<typeof EnvironmentView>

export const EnvironmentDetail = EnvironmentView.extend({
  fence: state.fence,
  /** Releases it has served, newest last. */
  history: state.history,
  queue: state.queue,
  rollbacks: state.rollbacks,
  /** Its freeze windows, each with its next span (or the one that is on); absent: it is over. */
  freezes: z.array(Freeze.extend({ next: z.object({ from: z.number(), until: z.number() }).optional() })),
  blocked: state.blocked.unwrap(),
})
export type EnvironmentDetail = z.infer<typeof EnvironmentDetail>

export const EnvironmentParams = z.object({ name: z.string().min(1).max(200) })
export const EnvironmentList = z.object({ items: z.array(EnvironmentView) })
export const DeploymentPage = pageOf(Deployment)

export const Rollback = z.strictObject({
  /** A release number or an image digest; absent: the newest kept release before the current one. */
  to: z.string().min(1).max(200).optional(),
  reason: z.string().max(500).optional(),
})
export type Rollback = z.infer<typeof Rollback>

export const DeployRelease = z
  .strictObject({
    /** A release number or an image digest. */
    release: z.string().min(1).max(200),
    /** Whose release; may be left out where only one project deploys to the environment. */
    project: z.string().min(1).max(200).optional(),
    reason: z.string().max(500).optional(),
    /** Also while the environment is frozen: whoever forces says why. */
    force: z.boolean().optional(),
  })
  .refine(({ force, reason }) => force !== true || (reason ?? '').trim() !== '', {
    path: ['reason'],
    message: 'whoever forces a deployment has to say why',
  })
export type DeployRelease = z.infer<typeof DeployRelease>

/** The rollback or deployment is queued; what becomes of it is in the environment's deployments, under `requestId`. */
export const RollbackAccepted = z.object({ requestId: z.string(), release: z.number().int(), digest: z.string() })
export type RollbackAccepted = z.infer<typeof RollbackAccepted>

/** One freeze window: from `from` (absent: now) `until` a time or `for` a duration; or with `cron` again and again, `for` so long. */
export const FreezeEnvironment = z.strictObject({
  /** `2026-12-24T18:00`, with `Z` or an offset, else on the clock of `time_zone`. */
  from: z.string().max(40).optional(),
  until: z.string().max(40).optional(),
  /** `90m`, `62h`, `3d` */
  for: z.string().max(20).optional(),
  /** Minute, hour, day of month, month, day of week: when it begins. */
  cron: z.string().min(1).max(100).optional(),
  /** By its IANA name; of `cron` it has to be said. */
  time_zone: z.string().min(1).max(64).optional(),
  reason: z.string().max(500).optional(),
})
export type FreezeEnvironment = z.infer<typeof FreezeEnvironment>

export const UnfreezeEnvironment = z.strictObject({
  /** Absent: the only window there is. */
  freeze: z.string().min(1).max(64).optional(),
  reason: z.string().max(500).optional(),
})
export type UnfreezeEnvironment = z.infer<typeof UnfreezeEnvironment>

export const FreezeAccepted = z.object({
  freeze: Freeze,
  /** How the environment stands with that. */
  frozen: Held.optional(),
  /** The deployment that is under way goes on. */
  active: ReleaseRef.optional(),
})
export type FreezeAccepted = z.infer<typeof FreezeAccepted>

const release = { release: z.string().min(1).max(200), project: z.string().min(1).max(200).optional() }

export const BlockRelease = z.strictObject({
  ...release,
  reason: z.string().max(500).optional(),
  /** If it serves, or is being deployed: take it away. */
  rollback: z.boolean().optional(),
})
export type BlockRelease = z.infer<typeof BlockRelease>

export const UnblockRelease = z.strictObject({ ...release, reason: z.string().max(500).optional() })
export type UnblockRelease = z.infer<typeof UnblockRelease>

export const BlockAccepted = z.object({
  release: ReleaseRef,
  /** Traffic goes to it, or it is being deployed. */
  serves: z.boolean(),
  deploys: z.boolean(),
  rollback: RollbackAccepted.optional(),
  /** Requests that were queued and are refused now. */
  refused: z.array(z.string()),
  /** Unblocked, and may not come all the same: why. */
  still: z.string().optional(),
})
export type BlockAccepted = z.infer<typeof BlockAccepted>

export const PreviewQuery = z.object({ to: z.string().min(1).max(200).optional() })

/** A variable that would not be what it is. Of a secret only the name of it is told. */
export const VariableChange = z.object({ name: z.string(), from: EnvValue.optional(), to: EnvValue.optional() })
export type VariableChange = z.infer<typeof VariableChange>

/** What a rollback would do. Nothing is changed by asking. */
export const RollbackPreview = z.object({
  environment: z.string(),
  /** Absent: nothing serves. */
  from: ReleaseRef.optional(),
  to: ReleaseRef,
  /** When traffic was switched to it last (ms since 1970). */
  servedAt: z.number(),
  /** `warm`: its instances still run. */
  start: z.enum(['cold', 'warm', 'serves']),
  /** Absent: what the running release was given is not known. */
  variables: z.array(VariableChange).optional(),
  /** What would run for its data, in that order: `down of release 4: node migrate.js down`, or `up` of those taken down since. */
  migrations: z.array(z.string()),
  /** What is interrupted for it. */
  interrupts: state.active,
  /** What waits, and goes on after it. */
  queue: z.array(z.object({ release: ReleaseRef, runId: z.string().optional(), reason: z.string().optional() })),
  /** Releases served since and not settled: their runs may still keep them or take them back. */
  provisional: z.array(Served),
  /** A rollback does not wait for its end. */
  frozen: Held.optional(),
})
export type RollbackPreview = z.infer<typeof RollbackPreview>
