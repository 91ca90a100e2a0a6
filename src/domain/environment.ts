import { z } from 'zod'
import { BlockedRelease, Freeze, Held } from './freeze.ts'
import { Deploy, EnvValue, Migrate } from './plan.ts'
import { ReleaseRef } from './release.ts'
import { Actor } from './trigger.ts'

/** The phases of a deployment, in order; `undo` is the way back from any of them, and `migrate_down` from the first. */
export const deploymentPhases = ['migrate', 'stage', 'check', 'activate', 'verify', 'retire', 'undo', 'migrate_down'] as const
export const DeploymentPhase = z.enum(deploymentPhases)
export type DeploymentPhase = z.infer<typeof DeploymentPhase>

export const deploymentStatuses = ['running', 'deployed', 'failed', 'undone', 'undo_failed'] as const
export const DeploymentStatus = z.enum(deploymentStatuses)
export type DeploymentStatus = z.infer<typeof DeploymentStatus>

/** Putting one release into one environment: a row of the environment's history. */
export const Deployment = z.object({
  id: z.string(),
  environment: z.string(),
  kind: z.enum(['deploy', 'undo', 'rollback', 'recovery']),
  release: ReleaseRef,
  /** What served before, if anything did. */
  previous: ReleaseRef.optional(),
  /** The request that asked for it; unique. */
  requestId: z.string(),
  /** The run that asked; absent for a person's rollback and for recovery. */
  runId: z.string().optional(),
  actor: Actor.optional(),
  /** How it was put there, and is taken back; absent: blue_green. */
  strategy: Deploy.shape.strategy.optional(),
  /** The first migration that it has begun: an id of the state's `migrations`. */
  migration: z.string().optional(),
  status: DeploymentStatus,
  reason: z.string().optional(),
  startedAt: z.number(),
  endedAt: z.number().optional(),
  /** When traffic was switched, and when it was switched back (ms since 1970). */
  activatedAt: z.number().optional(),
  undoneAt: z.number().optional(),
})
export type Deployment = z.infer<typeof Deployment>

/** A release that an environment has served, newest last. */
export const Served = z.object({
  release: ReleaseRef,
  deploymentId: z.string(),
  requestId: z.string(),
  /** `provisional` until the run that asked settles it; `undone` was taken back; `blocked` may not come again. */
  status: z.enum(['provisional', 'kept', 'undone', 'blocked']),
  /** How it was put there; absent: blue_green. */
  strategy: Deploy.shape.strategy.optional(),
  /** The newest migration that it serves on: see `migrations`. Absent: none that we know of. */
  level: z.string().optional(),
  at: z.number(),
})
export type Served = z.infer<typeof Served>

/** What an environment's data has been through, and how that is taken back: see `migrations.ts`. */
export const Migration = Migrate.extend({
  /** Of the deployment that brought it. */
  id: z.string(),
  /** With whose image both commands run. */
  release: ReleaseRef,
  requestId: z.string(),
  /** The one that it was applied on; absent: none that we know of. */
  on: z.string().optional(),
})
export type Migration = z.infer<typeof Migration>

/** How many served releases and answers an environment remembers. */
export const environmentMemory = 50

/** A run asks for a deployment. Asking twice with the same id changes nothing. */
export const DeployRequest = z.object({
  /** `<run>/<step>/<environment>/<attempt>` */
  id: z.string(),
  runId: z.string(),
  step: z.string(),
  release: ReleaseRef,
  deploy: Deploy,
  /** Place in the order of triggers, compared within (environment, ref). */
  ref: z.string(),
  sequence: z.number().int(),
  /** A person said so: exempt from the order. */
  forced: z.boolean(),
})
export type DeployRequest = z.infer<typeof DeployRequest>

/** A person asks for an older release, or with `release` for that one. Asking twice with the same id changes nothing. */
export const RollbackRequest = z.object({
  id: z.string(),
  environment: z.string(),
  /** A release number or an image digest; absent: the newest kept release before the current one. */
  to: z.string().optional(),
  actor: Actor,
  reason: z.string().max(500).optional(),
  /** Makes it a deployment: of this very release, served here before or not, in its turn and interrupting nothing. */
  release: ReleaseRef.optional(),
  /** Of a deployment: the requests of runs that were queued when it came, and go first. */
  behind: z.array(z.string()).optional(),
  /** Of a deployment: also while the environment is frozen. Whoever forces says why. */
  force: z.literal(true).optional(),
})
export type RollbackRequest = z.infer<typeof RollbackRequest>

/** What has become of a request, told to the run that asked. */
export const Answer = z.object({
  requestId: z.string(),
  status: z.enum(['queued', 'running', 'deployed', 'failed', 'superseded', 'withdrawn', 'kept', 'undone', 'undo_failed']),
  /** Failed because we could not do it (`errored`) or because the release was no good (`failed`). */
  fault: z.enum(['failed', 'errored']).optional(),
  deploymentId: z.string().optional(),
  reason: z.string().optional(),
  at: z.number(),
})
export type Answer = z.infer<typeof Answer>

/** A deployment whose way back has failed: what it takes to go it again, should its run ask. */
export const Stuck = z.object({
  requestId: z.string(),
  release: ReleaseRef,
  strategy: Deploy.shape.strategy.optional(),
  /** Traffic never went to it, and what served before serves on. */
  untouched: z.boolean(),
  /** Its person was told of a migration that stays: whoever has it tried again goes back over that. */
  parked: z.boolean().optional(),
  /** How often it has failed. */
  tries: z.number().int().positive(),
})
export type Stuck = z.infer<typeof Stuck>

/** Everything an environment's workflow knows: carried over by continue-as-new, recorded in the store. */
export const EnvironmentState = z.object({
  name: z.string(),
  /** The last fencing number taken. */
  fence: z.number().int().nonnegative(),
  /** Counts the records made of this state: a late repeat of an older one is ignored. */
  revision: z.number().int().nonnegative(),
  history: z.array(Served),
  /** The release that traffic goes to; absent: nothing is deployed. */
  current: z.object({ release: ReleaseRef, deploymentId: z.string() }).optional(),
  /** The deployment in progress. */
  active: Deployment.optional(),
  queue: z.array(DeployRequest),
  rollbacks: z.array(RollbackRequest),
  /** Requests whose run wants them undone, oldest first. */
  undos: z.array(z.string()),
  /** Absent: none, or recorded by a version that did not note them. */
  stuck: z.array(Stuck).optional(),
  /** All that a release of the history may need, each with the one below it. Absent: none. */
  migrations: z.array(Migration).optional(),
  /** The newest one that is applied, or may be in part. */
  level: z.string().optional(),
  answers: z.array(Answer),
  /** Newest sequence deployed, by ref. */
  newest: z.record(z.string(), z.number().int()),
  /** Absent: none. */
  freezes: z.array(Freeze).optional(),
  blocked: z.array(BlockedRelease).optional(),
  /** What people have lifted, blocked and unblocked, by the id of the request: one that is repeated changes nothing. Absent: none. */
  changes: z.array(z.object({ id: z.string(), freeze: Freeze.optional() })).optional(),
  /** What is queued waits for a freeze window to end. */
  held: Held.optional(),
  /** The environment's variables as the releases that run were given them, by digest; secrets by name. */
  given: z.record(z.string(), z.record(z.string(), EnvValue)).optional(),
})
export type EnvironmentState = z.infer<typeof EnvironmentState>
