import { randomUUID } from 'node:crypto'
import type { FastifyInstance } from 'fastify'
import { routes } from '../../api/routes.ts'
import { ReleaseRef } from '../../domain/release.ts'
import { faultPoint } from '../../process/fault-point.ts'
import type { RouteDeps } from '../app.ts'
import { actorOf } from '../auth/authenticate.ts'
import { loadEnvironment } from '../environment-view.ts'
import { loadReleaseFor } from './find-release.ts'
import { mount } from './mount.ts'

/** Releases that may not come (again) to an environment, whether they were there before or not. */
export function mountBlocks(app: FastifyInstance, { config, store, orchestrator, log }: RouteDeps): void {
  mount(app, routes.block, async ({ params, body, caller, idempotencyKey }) => {
    const { name } = loadEnvironment(config, params.name)
    const release = ReleaseRef.parse(await loadReleaseFor({ config, store }, { ...body, environment: name }))
    const actor = actorOf(caller)
    const id = `block/${actor.id}/${idempotencyKey ?? randomUUID()}`
    const reason = body.reason === undefined ? {} : { reason: body.reason }
    const rollback = body.rollback === true
    const said = { ...named(release), ...reason, rollback, request: id }
    await store.audit.write({ actor: actor.id, action: 'environment.block', subject: name, data: said })
    const block = { release, actor, ...reason, at: Date.now() }
    faultPoint('block.asked')
    const changed = await orchestrator.block({ type: 'block', id, environment: name, block, rollback })
    faultPoint('block.queued')
    log.info({ environment: name, release: release.number }, 'a release was blocked')
    return { ...changed, release }
  })

  mount(app, routes.unblock, async ({ params, body, caller, idempotencyKey }) => {
    const { name } = loadEnvironment(config, params.name)
    const release = ReleaseRef.parse(await loadReleaseFor({ config, store }, { ...body, environment: name }))
    const actor = actorOf(caller)
    const id = `unblock/${actor.id}/${idempotencyKey ?? randomUUID()}`
    const reason = body.reason === undefined ? {} : { reason: body.reason }
    const said = { ...named(release), ...reason, request: id }
    await store.audit.write({ actor: actor.id, action: 'environment.unblock', subject: name, data: said })
    faultPoint('unblock.asked')
    const changed = await orchestrator.block({ type: 'unblock', id, environment: name, release, actor })
    faultPoint('unblock.queued')
    log.info({ environment: name, release: release.number }, 'a release was unblocked')
    return { ...changed, release }
  })
}

function named({ project, number, image }: ReleaseRef): Record<string, unknown> {
  return { project, release: number, digest: image.digest }
}
