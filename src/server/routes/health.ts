import type { FastifyInstance } from 'fastify'
import { routes } from '../../api/routes.ts'
import { BelayError } from '../../domain/errors.ts'
import type { RouteDeps } from '../app.ts'
import { mount } from './mount.ts'

export function mountHealth(app: FastifyInstance, { store, orchestrator, disk }: RouteDeps): void {
  mount(app, routes.health, () => Promise.resolve({ status: 'ok' as const }))

  mount(app, routes.ready, async () => {
    const parts = { 'the store': store.ping(), Temporal: orchestrator.ping() }
    const results = await Promise.allSettled(Object.values(parts))
    const away = Object.keys(parts).filter((_, index) => results[index]?.status === 'rejected')
    // Low disk is no reason to send hooks elsewhere: they are taken.
    const warning = await disk?.findObstacle()
    if (away.length === 0) return { status: 'ready' as const, ...(warning === undefined ? {} : { warning }) }
    throw new BelayError({
      code: 'unavailable',
      message: `not ready: ${away.join(' and ')} cannot be reached`,
      hint: 'Hooks are taken while the store is there; runs go on when all parts are back.',
      retryable: true,
    })
  })
}
