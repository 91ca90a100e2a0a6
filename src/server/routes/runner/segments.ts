import type { FastifyInstance } from 'fastify'
import type { SegmentTokenRequest } from '../../../contract/runner-api.ts'
import { BelayError } from '../../../domain/errors.ts'
import type { Run, Store } from '../../../store/store.ts'
import type { RouteDeps } from '../../app.ts'
import { hasStep } from '../../live/step-over.ts'
import { mount } from '../mount.ts'
import { spokenForBy, tokenNameOf } from './identity.ts'
import { runnerRoutes } from './routes.ts'

const longestMs = 24 * 60 * 60 * 1000

/**
 * A segment's token: bound to (runner, run, epoch, steps), after a look at the run, at the Plan that control compiled, and at
 * who holds the workspace: only that runner gets one. Of an epoch that has passed, too, for its last logs.
 */
export function mountSegments(app: FastifyInstance, { store, log }: RouteDeps): void {
  mount(app, runnerRoutes.segments, async ({ body, caller }) => {
    const run = await loadPlannedRun(store, body)
    await checkSteps(store, run, body)
    const runner = await findHolder(store, body, tokenNameOf(caller))
    const { runId, epoch, planDigest, steps } = body
    const expiresAt = Date.now() + Math.min(body.lifetimeMs, longestMs)
    const token = await store.tokens.createSegmentToken({ runner, runId, epoch, planDigest, steps, expiresAt })
    log.debug({ runner, run: runId, epoch, steps: steps.length }, 'segment token given')
    return { token, expiresAt }
  })
}

/** The runner that the workspace was given to. Throws `forbidden` if the token does not speak for that one. */
async function findHolder(store: Store, { runId, epoch, runner }: SegmentTokenRequest, token: string): Promise<string> {
  const holder = await store.holders.find(runId, epoch)
  // Begun before there were notes: what the runner says is believed.
  if (holder.type === 'never') {
    // Throws `stale` for a lower epoch than noted; from here on the older segments' tokens are refused.
    await store.runs.raiseEpoch(runId, epoch)
    return runner
  }
  if (holder.type === 'none' || holder.runner !== runner) throw notGiven(runId, epoch)
  const spokenFor = await store.presence.claim({ runner: holder.runner, token })
  if (spokenFor.type === 'other') throw spokenForBy(holder.runner, spokenFor.token)
  return holder.runner
}

function notGiven(runId: string, epoch: number): BelayError {
  return new BelayError({
    code: 'forbidden',
    message: `the workspace of run ${runId} was not given to this runner under epoch ${String(epoch)}`,
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
