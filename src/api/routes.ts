/** The routes of the API that people use: one table, read by the server, the client and the test of who may do what. */
import type { z } from 'zod'
import {
  BlockAccepted,
  BlockRelease,
  DeploymentPage,
  DeployRelease,
  EnvironmentDetail,
  EnvironmentList,
  EnvironmentParams,
  FreezeAccepted,
  FreezeEnvironment,
  PreviewQuery,
  Rollback,
  RollbackAccepted,
  RollbackPreview,
  UnblockRelease,
  UnfreezeEnvironment,
} from './environment-schemas.ts'
import { GcReport } from './gc-schemas.ts'
import { LogQuery, StepParams } from './log-schemas.ts'
import { AuditPage, DeliveryPage, Health, ProjectList, ProjectPageQuery, ReleasePage, RunnerList } from './operator-schemas.ts'
import { PageQuery } from './pages.ts'
import {
  CancelRun,
  EventPage,
  EventsQuery,
  RetryRun,
  RunDetail,
  RunListQuery,
  RunPage,
  RunParams,
  RunQuery,
  RunView,
  SettleRunUndo,
  StartRun,
  UndoAccepted,
} from './run-schemas.ts'
import { CreatedToken, CreateToken, TokenPage, TokenParams } from './token-schemas.ts'

/**
 * Who may call: everybody, a person's role (and those above it), a runner's own token, a segment's token, or either of
 * the last two.
 */
export type Access = 'public' | 'viewer' | 'operator' | 'approver' | 'admin' | 'runner' | 'segment' | 'runner_or_segment'

export interface Route {
  method: 'GET' | 'POST' | 'PUT' | 'DELETE'
  /** With `:name` for its parameters. */
  path: string
  access: Access
  params?: z.ZodType
  query?: z.ZodType
  body?: z.ZodType
  /** Of a good answer. */
  status: number
  /** Absent: bytes, or nothing. */
  response?: z.ZodType
  /** An `Idempotency-Key` header makes a repeat harmless. */
  idempotent?: boolean
}

export const routes = {
  health: { method: 'GET', path: '/healthz', access: 'public', status: 200, response: Health },
  ready: { method: 'GET', path: '/readyz', access: 'public', status: 200, response: Health },
  listRuns: { method: 'GET', path: '/api/v1/runs', access: 'viewer', query: RunListQuery, status: 200, response: RunPage },
  startRun: {
    method: 'POST',
    path: '/api/v1/runs',
    access: 'operator',
    body: StartRun,
    status: 201,
    response: RunView,
    idempotent: true,
  },
  getRun: {
    method: 'GET',
    path: '/api/v1/runs/:id',
    access: 'viewer',
    params: RunParams,
    query: RunQuery,
    status: 200,
    response: RunDetail,
  },
  cancelRun: {
    method: 'POST',
    path: '/api/v1/runs/:id/cancel',
    access: 'operator',
    params: RunParams,
    query: RunQuery,
    body: CancelRun,
    status: 202,
    response: RunView,
  },
  /** A run that has ended badly goes on, in the same record. */
  retryRun: {
    method: 'POST',
    path: '/api/v1/runs/:id/retry',
    access: 'operator',
    params: RunParams,
    query: RunQuery,
    body: RetryRun,
    status: 202,
    response: RunView,
    idempotent: true,
  },
  /** The way out of `rollback_blocked`: its undo is tried again or given up. */
  settleUndo: {
    method: 'POST',
    path: '/api/v1/runs/:id/undo',
    access: 'operator',
    params: RunParams,
    query: RunQuery,
    body: SettleRunUndo,
    status: 202,
    response: UndoAccepted,
    idempotent: true,
  },
  /** JSON, or with `Accept: text/event-stream` a stream that follows the run. */
  listRunEvents: {
    method: 'GET',
    path: '/api/v1/runs/:id/events',
    access: 'viewer',
    params: RunParams,
    query: EventsQuery,
    status: 200,
    response: EventPage,
  },
  /** Plain text, or with `Accept: text/event-stream` a stream that follows the step. */
  readLog: {
    method: 'GET',
    path: '/api/v1/runs/:id/steps/:step/log',
    access: 'viewer',
    params: StepParams,
    query: LogQuery,
    status: 200,
  },
  listEnvironments: { method: 'GET', path: '/api/v1/environments', access: 'viewer', status: 200, response: EnvironmentList },
  getEnvironment: {
    method: 'GET',
    path: '/api/v1/environments/:name',
    access: 'viewer',
    params: EnvironmentParams,
    status: 200,
    response: EnvironmentDetail,
  },
  listDeployments: {
    method: 'GET',
    path: '/api/v1/environments/:name/deployments',
    access: 'viewer',
    params: EnvironmentParams,
    query: PageQuery,
    status: 200,
    response: DeploymentPage,
  },
  rollback: {
    method: 'POST',
    path: '/api/v1/environments/:name/rollback',
    access: 'operator',
    params: EnvironmentParams,
    body: Rollback,
    status: 202,
    response: RollbackAccepted,
    idempotent: true,
  },
  /** Puts a release there that exists already; what becomes of it is told like a rollback's end. */
  deploy: {
    method: 'POST',
    path: '/api/v1/environments/:name/deploy',
    access: 'operator',
    params: EnvironmentParams,
    body: DeployRelease,
    status: 202,
    response: RollbackAccepted,
    idempotent: true,
  },
  /** What a rollback would do; changes nothing. Not for all who may look on: it shows values of variables. */
  previewRollback: {
    method: 'GET',
    path: '/api/v1/environments/:name/rollback',
    access: 'operator',
    params: EnvironmentParams,
    query: PreviewQuery,
    status: 200,
    response: RollbackPreview,
  },
  /** Runs' deployments wait while a window is on. */
  freeze: {
    method: 'POST',
    path: '/api/v1/environments/:name/freeze',
    access: 'operator',
    params: EnvironmentParams,
    body: FreezeEnvironment,
    status: 202,
    response: FreezeAccepted,
    idempotent: true,
  },
  unfreeze: {
    method: 'POST',
    path: '/api/v1/environments/:name/unfreeze',
    access: 'operator',
    params: EnvironmentParams,
    body: UnfreezeEnvironment,
    status: 202,
    response: FreezeAccepted,
    idempotent: true,
  },
  /** That release does not come (again) to the environment. */
  block: {
    method: 'POST',
    path: '/api/v1/environments/:name/block',
    access: 'operator',
    params: EnvironmentParams,
    body: BlockRelease,
    status: 202,
    response: BlockAccepted,
    idempotent: true,
  },
  unblock: {
    method: 'POST',
    path: '/api/v1/environments/:name/unblock',
    access: 'operator',
    params: EnvironmentParams,
    body: UnblockRelease,
    status: 202,
    response: BlockAccepted,
    idempotent: true,
  },
  listDeliveries: {
    method: 'GET',
    path: '/api/v1/deliveries',
    access: 'viewer',
    query: ProjectPageQuery,
    status: 200,
    response: DeliveryPage,
  },
  listReleases: {
    method: 'GET',
    path: '/api/v1/releases',
    access: 'viewer',
    query: ProjectPageQuery,
    status: 200,
    response: ReleasePage,
  },
  listRunners: { method: 'GET', path: '/api/v1/runners', access: 'viewer', status: 200, response: RunnerList },
  listAudit: { method: 'GET', path: '/api/v1/audit', access: 'admin', query: PageQuery, status: 200, response: AuditPage },
  listTokens: { method: 'GET', path: '/api/v1/tokens', access: 'admin', query: PageQuery, status: 200, response: TokenPage },
  createToken: {
    method: 'POST',
    path: '/api/v1/tokens',
    access: 'admin',
    body: CreateToken,
    status: 201,
    response: CreatedToken,
  },
  revokeToken: { method: 'DELETE', path: '/api/v1/tokens/:name', access: 'admin', params: TokenParams, status: 204 },
  /** What a clean-up would remove now. */
  previewGc: { method: 'GET', path: '/api/v1/gc', access: 'admin', status: 200, response: GcReport },
  runGc: { method: 'POST', path: '/api/v1/gc', access: 'admin', status: 200, response: GcReport },
  listProjects: { method: 'GET', path: '/api/v1/projects', access: 'viewer', status: 200, response: ProjectList },
} as const satisfies Record<string, Route>
