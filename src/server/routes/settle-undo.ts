import { randomUUID } from 'node:crypto'
import type { FastifyInstance } from 'fastify'
import { routes } from '../../api/routes.ts'
import type { SettleRunUndo } from '../../api/run-schemas.ts'
import { BelayError } from '../../domain/errors.ts'
import { settleUndo, type SettledUndo } from '../../domain/settle-undo.ts'
import { faultPoint } from '../../process/fault-point.ts'
import type { Run } from '../../store/store.ts'
import type { RouteDeps } from '../app.ts'
import { actorOf } from '../auth/authenticate.ts'
import { loadRun, viewOf } from '../run-view.ts'
import { mount } from './mount.ts'

/** A person settles the undo that a run is blocked at. Whether it is, the run's workflow decides, not the store. */
export function mountSettleUndo(app: FastifyInstance, { config, store, orchestrator, log }: RouteDeps): void {
  mount(app, routes.settleUndo, async ({ params, query, body, caller, idempotencyKey }) => {
    const asking = await loadRun(store, { ...query, ...params })
    const { id: runId } = asking
    const actor = actorOf(caller)
    const { action, step, reason } = body
    const id = `settle/${actor.id}/${idempotencyKey ?? randomUUID()}`
    const asked = { ...(step === undefined ? {} : { step }), ...(reason === undefined ? {} : { reason }) }
    await store.audit.write({ actor: actor.id, action: `run.undo.${action}`, subject: runId, data: { ...asked, request: id } })
    faultPoint('settle.asked')
    const answer = await orchestrator.settleUndo(asking, { id, action, actor, ...asked })
    faultPoint('settle.queued')
    const run = await loadRun(store, { id: runId })
    const settled = answer ?? refuseWithoutWorkflow(run, body)
    refuseOther(settled, body)
    log.info({ run: runId, action, step: settled.step, actor: actor.id }, 'a blocked undo is settled')
    return { ...viewOf(config, run), settled }
  })
}

/** Neither its workflow nor a recovery is open: the row says how the run stands. */
function refuseWithoutWorkflow(run: Run, asked: SettleRunUndo): SettledUndo {
  if (run.status !== 'rollback_blocked') return settleUndo(asked, { ...run, blocked: [] })
  throw new BelayError({
    code: 'unavailable',
    message: `run ${String(run.number)} is blocked, but its workflow is gone: somebody ended it inside Temporal`,
    hint: 'It is recovered within a minute, and blocked again then: send this once more.',
    retryable: true,
  })
}

/** The key was used before: for the same thing it is a repeat, for another a mistake. */
function refuseOther(settled: SettledUndo, { action, step }: SettleRunUndo): void {
  if (settled.action === action && (step === undefined || step === settled.step)) return
  throw new BelayError({
    code: 'conflict',
    message: `this Idempotency-Key settled something else: a ${settled.action} of the undo of "${settled.step}"`,
    hint: 'Use a new key for a new request.',
  })
}
