import type { FastifyInstance } from 'fastify'
import type { SegmentTokenRequest } from '../../../contract/runner-api.ts'
import { BelayError } from '../../../domain/errors.ts'
import type { Run, Store } from '../../../store/store.ts'
import type { RouteDeps } from '../../app.ts'
import { hasStep } from '../../live/step-over.ts'
import { mount } from '../mount.ts'
import { runnerRoutes } from './routes.ts'

const longestMs = 24 * 60 * 60 * 1000

/** A segment's token: bound to (runner, run, epoch, steps), after a look at the run and at the Plan that control compiled. */
export function mountSegments(app: FastifyInstance, { store, log }: RouteDeps): void {
  mount(app, runnerRoutes.segments, async ({ body }) => {
    const run = await loadPlannedRun(store, body)
    await checkSteps(store, run, body)
    // Throws `stale` for a lower epoch than noted; from here on the older segments' tokens are refused.
    await store.runs.raiseEpoch(run.id, body.epoch)
    const { runner, runId, epoch, planDigest, steps } = body
    const expiresAt = Date.now() + Math.min(body.lifetimeMs, longestMs)
    const token = await store.tokens.createSegmentToken({ runner, runId, epoch, planDigest, steps, expiresAt })
    log.debug({ runner, run: runId, epoch, steps: steps.length }, 'segment token given')
    return { token, expiresAt }
  })
}

/** Ended or not: a runner's last logs may come after the end, when the server was away. Secrets are another matter. */
async function loadPlannedRun(store: Store, { runId, planDigest }: SegmentTokenRequest): Promise<Run> {
  const run = await store.runs.find(runId)
  if (run === undefined) throw new BelayError({ code: 'not_found', message: 'there is no such run' })
  if (run.planDigest !== planDigest) throw new BelayError({ code: 'conflict', message: 'the run has another plan' })
  return run
}

async function checkSteps(store: Store, run: Run, { planDigest, steps }: SegmentTokenRequest): Promise<void> {
  const plan = await store.runs.findPlan(planDigest)
  const isPlanned = plan !== undefined && steps.every((step) => hasStep(plan, step))
  if (!isPlanned) throw new BelayError({ code: 'forbidden', message: `not all of these steps are in the plan of run ${run.id}` })
}
