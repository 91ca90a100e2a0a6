import type { FastifyInstance } from 'fastify'
import { BelayError } from '../../../domain/errors.ts'
import { knownKeysOf } from '../../../payloads/payload-keys.ts'
import type { RouteDeps } from '../../app.ts'
import { mount } from '../mount.ts'
import { spokenForBy, tokenNameOf } from './identity.ts'
import { runnerRoutes } from './routes.ts'

/** What a runner says and asks in its own name: that it is there, what a plan is, and which directories may go. */
export function mountPresence(app: FastifyInstance, { config, store }: RouteDeps): void {
  mount(app, runnerRoutes.presence, async ({ body, caller, reply }) => {
    const spokenFor = await store.presence.report({ ...body, token: tokenNameOf(caller), at: Date.now() })
    if (spokenFor.type === 'other') throw spokenForBy(body.runner, spokenFor.token)
    return reply.send()
  })

  mount(app, runnerRoutes.payloadKeys, () => Promise.resolve(knownKeysOf(config.payloadKeys ?? [])))

  mount(app, runnerRoutes.plan, async ({ params }) => {
    const plan = await store.runs.findPlan(params.digest)
    if (plan === undefined) throw new BelayError({ code: 'not_found', message: 'there is no plan of this digest' })
    return plan
  })

  mount(app, runnerRoutes.closed, async ({ body }) => ({ closed: await store.runs.whichEnded(body.runIds) }))
}
