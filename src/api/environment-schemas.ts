import { z } from 'zod'
import { Deployment, EnvironmentState } from '../domain/environment.ts'
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
})
export type EnvironmentView = z.infer<typeof EnvironmentView>

export const EnvironmentDetail = EnvironmentView.extend({
  fence: state.fence,
  /** Releases it has served, newest last. */
  history: state.history,
  queue: state.queue,
  rollbacks: state.rollbacks,
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

export const DeployRelease = z.strictObject({
  /** A release number or an image digest. */
  release: z.string().min(1).max(200),
  /** Whose release; may be left out where only one project deploys to the environment. */
  project: z.string().min(1).max(200).optional(),
  reason: z.string().max(500).optional(),
})
export type DeployRelease = z.infer<typeof DeployRelease>

/** The rollback or deployment is queued; what becomes of it is in the environment's deployments, under `requestId`. */
export const RollbackAccepted = z.object({ requestId: z.string(), release: z.number().int(), digest: z.string() })
export type RollbackAccepted = z.infer<typeof RollbackAccepted>
