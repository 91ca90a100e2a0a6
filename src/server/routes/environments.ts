import { randomUUID } from 'node:crypto'
import type { FastifyInstance } from 'fastify'
import type { EnvironmentDetail, RollbackAccepted } from '../../api/environment-schemas.ts'
import { routes } from '../../api/routes.ts'
import type { Config, EnvironmentConfig } from '../../config/config.ts'
import type { EnvironmentState, RollbackRequest } from '../../domain/environment.ts'
import { BelayError } from '../../domain/errors.ts'
import { ReleaseRef } from '../../domain/release.ts'
import type { RouteDeps } from '../app.ts'
import { actorOf } from '../auth/authenticate.ts'
import { loadReleaseFor } from './find-release.ts'
import { mount } from './mount.ts'

/** Environments: what serves where, their history, and a person's rollbacks and deployments. */
export function mountEnvironments(app: FastifyInstance, { config, store, orchestrator, log }: RouteDeps): void {
  mount(app, routes.listEnvironments, async () => {
    const states = new Map((await store.environments.list()).map((state) => [state.name, state]))
    return { items: Object.values(config.environments).map((environment) => detailOf(environment, states.get(environment.name))) }
  })

  mount(app, routes.getEnvironment, async ({ params }) => {
    const environment = loadEnvironment(config, params.name)
    const { state } = await store.environments.load(environment.name)
    return detailOf(environment, state)
  })

  mount(app, routes.listDeployments, ({ params, query }) => {
    const { name } = loadEnvironment(config, params.name)
    return store.environments.deployments({ ...query, environment: name })
  })

  mount(app, routes.rollback, async ({ params, body, caller, idempotencyKey }) => {
    const { name } = loadEnvironment(config, params.name)
    const actor = actorOf(caller)
    const request: RollbackRequest = {
      id: `rollback/${actor.id}/${idempotencyKey ?? randomUUID()}`,
      environment: name,
      actor,
      ...(body.to === undefined ? {} : { to: body.to }),
      ...(body.reason === undefined ? {} : { reason: body.reason }),
    }
    await store.audit.write({
      actor: actor.id,
      action: 'environment.rollback',
      subject: name,
      data: { ...body, request: request.id },
    })
    const answer = await orchestrator.rollBack(request)
    log.info({ environment: name, request: request.id, release: answer.release }, 'rollback asked for')
    return answer
  })

  mount(app, routes.deploy, async ({ params, body, caller, idempotencyKey }) => {
    const { name } = loadEnvironment(config, params.name)
    const release = await loadReleaseFor({ config, store }, { ...body, environment: name })
    const actor = actorOf(caller)
    const reason = body.reason === undefined ? {} : { reason: body.reason }
    const request: RollbackRequest = {
      id: `deploy/${actor.id}/${idempotencyKey ?? randomUUID()}`,
      environment: name,
      actor,
      to: release.image.digest,
      release: ReleaseRef.parse(release),
      ...reason,
    }
    const { project, number, image } = release
    await store.audit.write({
      actor: actor.id,
      action: 'environment.deploy',
      subject: name,
      data: { project, release: number, digest: image.digest, ...reason, request: request.id },
    })
    const answer = await orchestrator.rollBack(request)
    refuseOtherRelease(answer, release)
    log.info({ environment: name, request: request.id, project, release: number }, 'deployment asked for')
    return answer
  })
}

/** The key was used before: for the same image it is a repeat, for another a mistake. */
function refuseOtherRelease(accepted: RollbackAccepted, { image }: ReleaseRef): void {
  if (accepted.digest === image.digest) return
  throw new BelayError({
    code: 'conflict',
    message: `this Idempotency-Key deployed another release: number ${String(accepted.release)}`,
    hint: 'Use a new key for a new request.',
  })
}

function loadEnvironment(config: Config, name: string): EnvironmentConfig {
  const environment = Object.hasOwn(config.environments, name) ? config.environments[name] : undefined
  if (environment !== undefined) return environment
  throw new BelayError({
    code: 'not_found',
    message: `there is no environment ${JSON.stringify(name)}`,
    hint: `Known: ${Object.keys(config.environments).join(', ') || 'none'}.`,
  })
}

function detailOf(environment: EnvironmentConfig, state: EnvironmentState | undefined): EnvironmentDetail {
  const { host, port } = environment.edge
  const { current, active, fence = 0, history = [], queue = [], rollbacks = [] } = state ?? {}
  return {
    name: environment.name,
    target: environment.target,
    url: `http://${host.includes(':') ? `[${host}]` : host}:${String(port)}`,
    ...(current === undefined ? {} : { current }),
    ...(active === undefined ? {} : { active }),
    queued: queue.length + rollbacks.length,
    fence,
    history,
    queue,
    rollbacks,
  }
}
