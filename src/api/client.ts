/** The typed client of the API: what the command line calls. */
import type { z } from 'zod'
import { StoredRunEvent } from '../domain/run-event.ts'
import type { RunStatus } from '../domain/run.ts'
import { BelayError } from '../domain/errors.ts'
import type {
  BlockRelease,
  DeployRelease,
  FreezeEnvironment,
  Rollback,
  UnblockRelease,
  UnfreezeEnvironment,
} from './environment-schemas.ts'
import { follow, type FollowOptions } from './follow.ts'
import { LogChunk, LogStreamEnd, type LogQuery } from './log-schemas.ts'
import type { PageQuery } from './pages.ts'
import { routes, type Route } from './routes.ts'
import {
  RunStreamEnd,
  type CancelRun,
  type RetryRun,
  type RunListQuery,
  type SettleRunUndo,
  type StartRun,
} from './run-schemas.ts'
import type { CreateToken } from './token-schemas.ts'
import { createTransport, reach, type ClientOptions, type RequestOptions } from './transport.ts'

/** A run by its id, or by its number within a project. */
export interface RunRef {
  id: string
  project?: string | undefined
}

export type RunStreamItem = { type: 'event'; event: StoredRunEvent } | { type: 'end'; status: RunStatus }
export type LogStreamItem = ({ type: 'chunk' } & LogChunk) | { type: 'end'; truncated: boolean }

export type Client = ReturnType<typeof createClient>

/**
 * Every call throws `BelayError`: the server's own code and hint, or `unavailable` if it cannot be reached. The two
 * `follow` generators resume by themselves after a broken connection, so that each item comes exactly once, and end
 * after their `end` item.
 */
export function createClient(options: ClientOptions) {
  const transport = createTransport(options)

  async function call<R extends Route & { response: z.ZodType }>(
    route: R,
    request: CallOptions = {},
  ): Promise<z.output<R['response']>> {
    const response = await transport(requestOf(route, request))
    const answer: unknown = await reach(options.url, () => response.json())
    const parsed = route.response.safeParse(answer)
    if (parsed.success) return parsed.data as z.output<R['response']>
    throw new BelayError({
      code: 'mismatch',
      message: `the server's answer to ${route.method} ${route.path} has an unknown shape: ${parsed.error.message}`,
      hint: 'Are client and server of the same version?',
    })
  }

  return {
    health: () => call(routes.health),
    ready: () => call(routes.ready),
    listRuns: (query: RunListQuery = {}) => call(routes.listRuns, { query }),
    getRun: (run: RunRef) => call(routes.getRun, addressOf(run)),
    startRun: (body: StartRun, idempotencyKey?: string) => call(routes.startRun, { body, idempotencyKey }),
    cancelRun: (run: RunRef, body: CancelRun = {}) => call(routes.cancelRun, { ...addressOf(run), body }),
    retryRun: (run: RunRef, body: RetryRun = {}, idempotencyKey?: string) =>
      call(routes.retryRun, { ...addressOf(run), body, idempotencyKey }),
    settleUndo: (run: RunRef, body: SettleRunUndo, idempotencyKey?: string) =>
      call(routes.settleUndo, { ...addressOf(run), body, idempotencyKey }),
    listRunEvents: (run: RunRef, query: { after?: number; limit?: number } = {}) =>
      call(routes.listRunEvents, { params: { id: run.id }, query: { project: run.project, ...query } }),
    listEnvironments: () => call(routes.listEnvironments),
    getEnvironment: (name: string) => call(routes.getEnvironment, { params: { name } }),
    listDeployments: (name: string, query: PageQuery = {}) => call(routes.listDeployments, { params: { name }, query }),
    rollback: (name: string, body: Rollback = {}, idempotencyKey?: string) =>
      call(routes.rollback, { params: { name }, body, idempotencyKey }),
    deploy: (name: string, body: DeployRelease, idempotencyKey?: string) =>
      call(routes.deploy, { params: { name }, body, idempotencyKey }),
    previewRollback: (name: string, query: { to?: string } = {}) => call(routes.previewRollback, { params: { name }, query }),
    freeze: (name: string, body: FreezeEnvironment, idempotencyKey?: string) =>
      call(routes.freeze, { params: { name }, body, idempotencyKey }),
    unfreeze: (name: string, body: UnfreezeEnvironment = {}, idempotencyKey?: string) =>
      call(routes.unfreeze, { params: { name }, body, idempotencyKey }),
    block: (name: string, body: BlockRelease, idempotencyKey?: string) =>
      call(routes.block, { params: { name }, body, idempotencyKey }),
    unblock: (name: string, body: UnblockRelease, idempotencyKey?: string) =>
      call(routes.unblock, { params: { name }, body, idempotencyKey }),
    listDeliveries: (query: PageQuery & { project?: string } = {}) => call(routes.listDeliveries, { query }),
    listReleases: (query: PageQuery & { project?: string | undefined } = {}) => call(routes.listReleases, { query }),
    listRunners: () => call(routes.listRunners),
    listAudit: (query: PageQuery = {}) => call(routes.listAudit, { query }),
    listProjects: () => call(routes.listProjects),
    previewGc: () => call(routes.previewGc),
    runGc: () => call(routes.runGc),
    listTokens: (query: PageQuery = {}) => call(routes.listTokens, { query }),
    createToken: (body: CreateToken) => call(routes.createToken, { body }),
    revokeToken: async (name: string): Promise<void> => {
      await transport(requestOf(routes.revokeToken, { params: { name } }))
    },

    /** Follows a run to its end; `after` is the sequence number of the last event already known. */
    async *followRun(run: RunRef, input: FollowOptions & { after?: number } = {}): AsyncGenerator<RunStreamItem> {
      const query = { project: run.project, after: input.after }
      for await (const item of follow(transport, requestOf(routes.listRunEvents, { params: { id: run.id }, query }), input)) {
        const data: unknown = JSON.parse(item.data)
        if (item.event === 'end') yield { type: 'end', ...RunStreamEnd.parse(data) }
        else yield { type: 'event', event: StoredRunEvent.parse(data) }
      }
    },

    /** What a step has printed so far, as bytes, attempt after attempt. */
    async *readLog(run: RunRef, step: string, query: LogQuery = {}): AsyncGenerator<Uint8Array> {
      const response = await transport(requestOf(routes.readLog, logAddressOf(run, step, query)))
      yield* response.body ?? []
    },

    /** What a step prints, until it has ended. */
    async *followLog(run: RunRef, step: string, input: FollowOptions & { query?: LogQuery } = {}): AsyncGenerator<LogStreamItem> {
      for await (const item of follow(transport, requestOf(routes.readLog, logAddressOf(run, step, input.query ?? {})), input)) {
        const data: unknown = JSON.parse(item.data)
        if (item.event === 'end') yield { type: 'end', ...LogStreamEnd.parse(data) }
        else yield { type: 'chunk', ...LogChunk.parse(data) }
      }
    },
  }
}

interface CallOptions {
  params?: Readonly<Record<string, string>>
  query?: RequestOptions['query']
  body?: unknown
  idempotencyKey?: string | undefined
}

function addressOf(run: RunRef): CallOptions {
  return { params: { id: run.id }, query: { project: run.project } }
}

function logAddressOf(run: RunRef, step: string, query: LogQuery): CallOptions {
  return { params: { id: run.id, step }, query: { project: run.project, ...query } }
}

function requestOf(route: Route, { params = {}, query, body, idempotencyKey }: CallOptions): RequestOptions {
  return {
    method: route.method,
    path: route.path.replace(/:(\w+)/g, (_, name: string) => encodeURIComponent(params[name] ?? '')),
    ...(query === undefined ? {} : { query }),
    ...(body === undefined ? {} : { body }),
    ...(idempotencyKey === undefined ? {} : { headers: { 'idempotency-key': idempotencyKey } }),
  }
}
