import { randomUUID } from 'node:crypto'
import type { FastifyInstance } from 'fastify'
import type { RollbackAccepted } from '../../api/environment-schemas.ts'
import { routes } from '../../api/routes.ts'
import type { RollbackRequest } from '../../domain/environment.ts'
import { BelayError } from '../../domain/errors.ts'
import { ReleaseRef } from '../../domain/release.ts'
import { faultPoint } from '../../process/fault-point.ts'
import type { RouteDeps } from '../app.ts'
import { actorOf } from '../auth/authenticate.ts'
import { detailOf, loadEnvironment } from '../environment-view.ts'
import { previewRollback } from '../preview-rollback.ts'
import { mountBlocks } from './blocks.ts'
import { loadReleaseFor } from './find-release.ts'
import { mountFreezes } from './freezes.ts'
import { mount } from './mount.ts'

/** Environments: what serves where, their history, and a person's rollbacks and deployments. */
export function mountEnvironments(app: FastifyInstance, deps: RouteDeps): void {
  const { config, store, orchestrator, log } = deps
  mountFreezes(app, deps)
  mountBlocks(app, deps)

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

  mount(app, routes.previewRollback, async ({ params, query }) => {
    const environment = loadEnvironment(config, params.name)
    const { state } = await store.environments.load(environment.name)
    return previewRollback({ environment, state, to: query.to, now: Date.now() })
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
    faultPoint('rollback.asked')
    const answer = await orchestrator.rollBack(request)
    faultPoint('rollback.queued')
    if (body.to !== undefined) await refuseOtherWay(answer, body.to)
    log.info({ environment: name, request: request.id, release: answer.release }, 'rollback asked for')
    return answer
  })

  mount(app, routes.deploy, async ({ params, body, caller, idempotencyKey }) => {
    const { name } = loadEnvironment(config, params.name)
    const release = await loadReleaseFor({ config, store }, { ...body, environment: name })
    const actor = actorOf(caller)
    const reason = body.reason === undefined ? {} : { reason: body.reason }
    const force = body.force === true ? { force: true as const } : {}
    const request: RollbackRequest = {
      id: `deploy/${actor.id}/${idempotencyKey ?? randomUUID()}`,
      environment: name,
      actor,
      to: release.image.digest,
      release: ReleaseRef.parse(release),
      ...reason,
      ...force,
    }
    const { project, number, image } = release
    await store.audit.write({
      actor: actor.id,
      action: 'environment.deploy',
      subject: name,
      data: { project, release: number, digest: image.digest, ...reason, ...force, request: request.id },
    })
    faultPoint('deploy.asked')
    const answer = await orchestrator.rollBack(request)
    faultPoint('deploy.queued')
    refuseOtherRelease(answer, release)
    log.info({ environment: name, request: request.id, project, release: number }, 'deployment asked for')
    return answer
  })

  /** The key was used before: for the same release, however it is named, it is a repeat, for another a mistake. */
  async function refuseOtherWay({ release, digest }: RollbackAccepted, to: string): Promise<void> {
    if (to.replace(/^#/, '') === String(release) || to === digest) return
    if ((await store.releases.find(to))?.image.digest === digest) return
    throw usedForAnother(`rolled back to another release: number ${String(release)}`)
  }
}

/** The key was used before: for the same image it is a repeat, for another a mistake. */
function refuseOtherRelease(accepted: RollbackAccepted, { image }: ReleaseRef): void {
  if (accepted.digest !== image.digest) throw usedForAnother(`deployed another release: number ${String(accepted.release)}`)
}

function usedForAnother(what: string): BelayError {
  return new BelayError({
    code: 'conflict',
    message: `this Idempotency-Key ${what}`,
    hint: 'Use a new key for a new request.',
  })
}
