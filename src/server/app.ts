/** The front door as an application apart from listening, so that tests inject. */
import { fastify, type FastifyInstance } from 'fastify'
import { serializerCompiler, validatorCompiler } from 'fastify-type-provider-zod'
import type { Logger } from 'pino'
import type { Access } from '../api/routes.ts'
import type { Config } from '../config/config.ts'
import { BelayError } from '../domain/errors.ts'
import type { Store } from '../store/store.ts'
import { authenticate } from './auth/authenticate.ts'
import type { Caller } from './auth/roles.ts'
import type { Disk } from './disk.ts'
import { mountHooks } from './hooks/hook-route.ts'
import type { Orchestrator } from './orchestrator.ts'
import { createErrorHandler } from './problems.ts'
import { mountEnvironments } from './routes/environments.ts'
import { mountGc } from './routes/gc.ts'
import { mountHealth } from './routes/health.ts'
import { mountLists } from './routes/lists.ts'
import { createKnownPaths } from './routes/known-paths.ts'
import { mountRuns } from './routes/runs.ts'
import { mountRunEvents } from './routes/run-events.ts'
import { mountRunnerApi } from './routes/runner/runner-api.ts'
import { mountStartRun } from './routes/start-run.ts'
import { mountStepLog } from './routes/step-log.ts'
import { mountTokens } from './routes/tokens.ts'

export interface AppDeps {
  config: Config
  store: Store
  orchestrator: Orchestrator
  log: Logger
  /** Absent: there is always room. */
  disk?: Disk
}

/** What a route may count on; `closing` is aborted when the server stops: streams end then. */
export interface RouteDeps extends AppDeps {
  closing: AbortSignal
}

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Who may call. A route without it cannot be added. */
    access?: Access
  }
  interface FastifyRequest {
    caller: Caller | null
  }
}

export function createApp(deps: AppDeps): FastifyInstance {
  const closing = new AbortController()
  const routeDeps: RouteDeps = { ...deps, closing: closing.signal }
  const app = fastify({
    logger: false,
    forceCloseConnections: true,
    exposeHeadRoutes: false,
    requestTimeout: 600_000,
    routerOptions: { maxParamLength: 512 },
  })
  app.setValidatorCompiler(validatorCompiler)
  app.setSerializerCompiler(serializerCompiler)
  app.setErrorHandler(createErrorHandler(deps.log))
  guardRoutes(app, deps.store)
  app.addHook('preClose', (done) => {
    closing.abort()
    done()
  })
  mountHealth(app, routeDeps)
  mountHooks(app, routeDeps)
  mountRuns(app, routeDeps)
  mountStartRun(app, routeDeps)
  mountRunEvents(app, routeDeps)
  mountStepLog(app, routeDeps)
  mountEnvironments(app, routeDeps)
  mountLists(app, routeDeps)
  mountTokens(app, routeDeps)
  mountGc(app, routeDeps)
  mountRunnerApi(app, routeDeps)
  return app
}

/** Deny by default: before a body is read, every request meets its route's rule, and a route without one is a fault. */
function guardRoutes(app: FastifyInstance, store: Store): void {
  const paths = createKnownPaths()
  app.decorateRequest('caller', null)
  app.addHook('onRoute', (route) => {
    if (route.config?.access === undefined) throw new BelayError({ code: 'internal', message: `no access rule for ${route.url}` })
    paths.add(route.url, route.method)
  })
  app.addHook('onRequest', async (request, reply) => {
    void reply.headers({ 'x-content-type-options': 'nosniff', 'cache-control': 'no-store' })
    if (request.is404) throw paths.refusalOf(request)
    const access = request.routeOptions.config.access ?? 'admin'
    request.caller = await authenticate(store, { access, headers: request.headers })
  })
  app.setNotFoundHandler(() => {
    throw new BelayError({ code: 'not_found', message: 'there is nothing here' })
  })
}
