import type { FastifyInstance } from 'fastify'
import { routes } from '../../api/routes.ts'
import { BelayError } from '../../domain/errors.ts'
import { faultPoint } from '../../process/fault-point.ts'
import type { Run } from '../../store/store.ts'
import type { RouteDeps } from '../app.ts'
import { actorOf } from '../auth/authenticate.ts'
import { loadRun, outlineOf, viewOf, waitingOf, waitsOf } from '../run-view.ts'
import { mount } from './mount.ts'
import { mountRetryRun } from './retry-run.ts'
import { mountSettleUndo } from './settle-undo.ts'

/** Lists, shows and cancels runs, and settles their blocked undos. */
export function mountRuns(app: FastifyInstance, deps: RouteDeps): void {
  const { config, store } = deps
  mountRetryRun(app, deps)
  mountSettleUndo(app, deps)

  mount(app, routes.listRuns, async ({ query }) => {
    const page = await store.runs.list(query)
    return { ...page, items: page.items.map((run) => viewOf(config, run)) }
  })

  mount(app, routes.getRun, async ({ params, query }) => {
    const run = await loadRun(store, { ...query, ...params })
    const plan = run.planDigest === undefined ? undefined : await store.runs.findPlan(run.planDigest)
    const steps = await store.runs.steps(run.id)
    const waits = run.endedAt === undefined ? waitsOf(run.id, await store.environments.list()) : []
    const waiting = run.endedAt === undefined ? waitingOf(await store.runs.newestEvent(run.id), waits) : {}
    return { ...viewOf(config, run), steps, waits, ...waiting, ...(plan === undefined ? {} : { plan: outlineOf(plan) }) }
  })

  mount(app, routes.cancelRun, async ({ params, query, body, caller }) => {
    const run = await loadRun(store, { ...query, ...params })
    if (run.status === 'rollback_blocked') throw cancelOfBlocked(run)
    const actor = actorOf(caller)
    const reason = body.reason === undefined ? {} : { reason: body.reason }
    await store.audit.write({ actor: actor.id, action: 'run.cancel', subject: run.id, data: reason })
    faultPoint('cancel.asked')
    const cancelled = await store.runs.cancel({ runId: run.id, actor, ...reason })
    faultPoint('cancel.persisted')
    return viewOf(config, cancelled)
  })
}

function cancelOfBlocked({ number }: Run): BelayError {
  return new BelayError({
    code: 'conflict',
    message: `run ${String(number)} has stopped already, and is blocked at an undo: a cancel would change nothing`,
    hint: `\`belay retry ${String(number)}\` tries that undo again, \`belay skip ${String(number)} --reason TEXT\` gives it up.`,
  })
}
