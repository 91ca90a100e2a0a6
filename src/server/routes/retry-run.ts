import { randomUUID } from 'node:crypto'
import type { FastifyInstance } from 'fastify'
import { routes } from '../../api/routes.ts'
import { BelayError } from '../../domain/errors.ts'
import { mustBeResumable, stepsToDoAgain } from '../../domain/resume-run.ts'
import { faultPoint } from '../../process/fault-point.ts'
import type { Run } from '../../store/store.ts'
import type { RouteDeps } from '../app.ts'
import { actorOf } from '../auth/authenticate.ts'
import { loadRun, viewOf } from '../run-view.ts'
import { mount } from './mount.ts'

/** A person goes on with a run that has ended: in the same record, and what is done stays done. */
export function mountRetryRun(app: FastifyInstance, { config, store, log }: RouteDeps): void {
  mount(app, routes.retryRun, async ({ params, query, body, caller, idempotencyKey }) => {
    const run = await loadRun(store, { ...query, ...params })
    const actor = actorOf(caller)
    const asked = { ...present('from', body.from), ...present('reason', body.reason) }
    const key = `resume/${actor.id}/${idempotencyKey ?? randomUUID()}`
    // A repeat is answered by the store, whatever has become of the run since.
    if (idempotencyKey === undefined) mustBeResumable(run)
    await check(run, body.from)
    faultPoint('retry.asked')
    const resumed = await store.runs.resume({ runId: run.id, actor, key, ...asked })
    faultPoint('retry.persisted')
    log.info({ run: run.id, round: resumed.round, actor: actor.id }, 'an ended run goes on')
    return viewOf(config, resumed)
  })

  async function check(run: Run, from: string | undefined): Promise<void> {
    const plan = run.planDigest === undefined ? undefined : await store.runs.findPlan(run.planDigest)
    if (plan === undefined) {
      if (from === undefined) return
      throw new BelayError({
        code: 'conflict',
        message: `run ${String(run.number)} ended before it had a plan: there is no step to go on from`,
        hint: `\`belay retry ${String(run.number)}\` begins at the beginning.`,
      })
    }
    if (plan.rules === 1) {
      throw new BelayError({
        code: 'conflict',
        message: `run ${String(run.number)} was planned by an older Belay, which could not go on after an end`,
        hint: '`belay run` starts a new one.',
      })
    }
    stepsToDoAgain({ plan, outcomes: [], undo: [], from })
  }
}

function present<K extends string>(key: K, value: string | undefined): { [P in K]?: string } {
  return (value === undefined ? {} : { [key]: value }) as { [P in K]?: string }
}
