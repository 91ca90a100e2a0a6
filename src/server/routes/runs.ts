import type { FastifyInstance } from 'fastify'
import { routes } from '../../api/routes.ts'
import type { RouteDeps } from '../app.ts'
import { actorOf } from '../auth/authenticate.ts'
import { loadRun, outlineOf, viewOf } from '../run-view.ts'
import { mount } from './mount.ts'

/** Lists, shows and cancels runs. */
export function mountRuns(app: FastifyInstance, { config, store }: RouteDeps): void {
  mount(app, routes.listRuns, async ({ query }) => {
    const page = await store.runs.list(query)
    return { ...page, items: page.items.map((run) => viewOf(config, run)) }
  })

  mount(app, routes.getRun, async ({ params, query }) => {
    const run = await loadRun(store, { ...query, ...params })
    const plan = run.planDigest === undefined ? undefined : await store.runs.findPlan(run.planDigest)
    const steps = await store.runs.steps(run.id)
    return { ...viewOf(config, run), steps, ...(plan === undefined ? {} : { plan: outlineOf(plan) }) }
  })

  mount(app, routes.cancelRun, async ({ params, query, body, caller }) => {
    const run = await loadRun(store, { ...query, ...params })
    const actor = actorOf(caller)
    const reason = body.reason === undefined ? {} : { reason: body.reason }
    await store.audit.write({ actor: actor.id, action: 'run.cancel', subject: run.id, data: reason })
    return viewOf(config, await store.runs.cancel({ runId: run.id, actor, ...reason }))
  })
}
