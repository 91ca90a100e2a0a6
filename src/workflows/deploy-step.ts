import { CancellationScope, isCancellation } from '@temporalio/workflow'
import type { Answer, DeployRequest } from '../domain/environment.ts'
import { BelayError } from '../domain/errors.ts'
import { latestOutcomes, settleOutcome } from '../domain/outcome.ts'
import { loadStep, type PlanStep } from '../domain/plan.ts'
import type { ReleaseRef } from '../domain/release.ts'
import type { Outcome } from '../domain/step.ts'
import type { Insisted } from './insist.ts'
import type { RunContext } from './run-context.ts'
import type { Owed } from './saga.ts'
import { createHoldClock, withTimeLimit, type HoldClock } from './time-limit.ts'

type DeployStep = Extract<PlanStep, { kind: 'deploy' }>

/** Asks the environment to deploy the release made upstream, and waits for its answer. The way back is owed before. */
export async function deployStep(context: RunContext, step: DeployStep, attempt: number): Promise<void> {
  const startedAt = Date.now()
  const { environment } = step.deploy
  const request = requestOf(context, step, attempt)
  const progress = { answered: false }
  context.undo.owe(undoOfDeployment(context, { step: step.id, environment, requestId: request.id }, progress))
  context.news.tell({ type: 'step', change: { step: step.id, attempt, epoch: 0, status: 'running', startedAt } })
  const record = (ended: Pick<Outcome, 'status' | 'reason' | 'result'>): void => {
    context.record([settleOutcome(step, { step: step.id, attempt, epoch: 0, startedAt, endedAt: Date.now(), ...ended })])
  }
  const { hold, unwatch } = watchHold(context, environment, request.id)
  try {
    const answer = await withTimeLimit(step.timeoutMs, hold, () =>
      context.answers.ask(environment, { type: 'deploy', request }, [
        'deployed',
        'kept',
        'failed',
        'superseded',
        'withdrawn',
        'undone',
        'undo_failed',
      ]),
    )
    progress.answered = true
    record(endOf(environment, answer))
  } catch (error) {
    if (!isCancellation(error)) throw error
    if (CancellationScope.current().consideredCancelled) {
      record({ status: 'cancelled', reason: 'the run was cancelled' })
      throw error
    }
    record({ status: 'timed_out', reason: `${environment} gave no answer within ${String(step.timeoutMs / 1000)} s` })
  } finally {
    hold.set(request.id, false)
    unwatch()
  }
}

/** The way back of one request, as an entry of the undo stack. */
export function undoOfDeployment(
  context: RunContext,
  { step, environment, requestId }: { step: string; environment: string; requestId: string },
  progress: { answered: boolean },
): Owed {
  return {
    key: requestId,
    step,
    does: `take ${environment} back to its newest kept release`,
    how: { type: 'deployment', environment, requestId },
    undo: (again) => takeBack(context, { environment, requestId, answered: progress.answered, again }),
  }
}

/** While its request waits for a freeze to end, the time of the step and of the run stands, and people are told why. */
function watchHold(context: RunContext, environment: string, requestId: string): { hold: HoldClock; unwatch: () => void } {
  const own = createHoldClock()
  let told: string | undefined
  const hold: HoldClock = {
    ...own,
    set(key, isHeld) {
      own.set(key, isHeld)
      context.hold.set(key, isHeld)
    },
  }
  const unwatch = context.answers.watch(requestId, ({ status, reason }) => {
    const why = status === 'queued' ? reason : undefined
    hold.set(requestId, why !== undefined)
    if (why !== undefined && why !== told) context.news.tell({ type: 'waiting', for: `${environment} (${why})` })
    told = why
  })
  return { hold, unwatch }
}

function endOf(environment: string, answer: Answer): Pick<Outcome, 'status' | 'reason' | 'result'> {
  const reason = answer.reason === undefined ? {} : { reason: answer.reason }
  switch (answer.status) {
    case 'deployed':
    case 'kept':
      return { status: 'succeeded', result: { deployments: [{ environment, deploymentId: answer.deploymentId ?? '' }] } }
    case 'superseded':
    case 'withdrawn':
      return { status: 'skipped', ...reason }
    default:
      return { status: answer.fault ?? 'failed', ...reason }
  }
}

/** `withdraw` for a request without an answer yet: it may be queued, under way, or never have arrived. */
async function takeBack(
  context: RunContext,
  { environment, requestId, answered, again }: { environment: string; requestId: string; answered: boolean; again: boolean },
): Promise<Insisted> {
  const runId = context.input.run.id
  const type = answered ? 'undo' : 'withdraw'
  const failed = again ? context.answers.find(requestId) : undefined
  const after = failed === undefined ? {} : { after: failed.at }
  const answer = await context.answers.ask(environment, { type, requestId, runId, ...after }, [
    'withdrawn',
    'undone',
    'undo_failed',
    'kept',
    'superseded',
  ])
  if (answer.status === 'kept') return { type: 'failed', reason: `${environment} has kept it already` }
  if (answer.status !== 'undo_failed') return { type: 'done' }
  return { type: 'failed', reason: answer.reason ?? `${environment} could not be taken back` }
}

/** The run settles: what it deployed is kept. Throws if something does not serve any more: then the run has not settled. */
export async function keepDeployments(context: RunContext): Promise<void> {
  const runId = context.input.run.id
  for (const outcome of latestOutcomes(context.outcomes).values()) {
    if (outcome.status !== 'succeeded') continue
    for (const { environment } of outcome.result?.deployments ?? []) {
      const requestId = requestIdOf(context, outcome.step, environment, outcome.attempt)
      const message = { type: 'keep' as const, requestId, runId }
      const answer = await context.answers.ask(environment, message, ['kept', 'undone', 'undo_failed', 'withdrawn'])
      if (answer.status === 'kept') continue
      throw new BelayError({ code: 'conflict', message: answer.reason ?? `${environment} does not serve it any more` })
    }
  }
}

function requestIdOf(context: RunContext, step: string, environment: string, attempt: number): string {
  return `${context.input.run.id}/${step}/${environment}/${String(attempt)}`
}

function requestOf(context: RunContext, step: DeployStep, attempt: number): DeployRequest {
  const { run } = context.input
  return {
    id: requestIdOf(context, step.id, step.deploy.environment, attempt),
    runId: run.id,
    step: step.id,
    release: releaseFor(context, step),
    deploy: step.deploy,
    ref: run.trigger.ref,
    sequence: run.sequence,
    forced: run.trigger.event === 'manual',
  }
}

/** The one release made upstream; compile has seen to it that there is exactly one. */
function releaseFor(context: RunContext, step: DeployStep): ReleaseRef {
  const latest = latestOutcomes(context.outcomes)
  const { run } = context.input
  const seen = new Set<string>()
  const open = [...step.needs]
  for (let id = open.pop(); id !== undefined; id = open.pop()) {
    if (seen.has(id)) continue
    seen.add(id)
    const result = latest.get(id)?.result
    if (loadStep(context.plan, id).kind === 'release' && result?.release !== undefined && result.image !== undefined) {
      return { ...result.release, project: run.project, sha: run.trigger.sha, runId: run.id, image: result.image }
    }
    open.push(...loadStep(context.plan, id).needs)
  }
  throw new BelayError({ code: 'internal', message: `step "${step.id}" has no release to deploy` })
}
