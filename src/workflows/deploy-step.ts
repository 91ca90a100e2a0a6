// Long because asking, the end of a group, taking back and keeping are one story about one request.
import { CancellationScope, isCancellation, log, patched } from '@temporalio/workflow'
import type { Answer, DeployRequest } from '../domain/environment.ts'
import { BelayError } from '../domain/errors.ts'
import { countLost, latestOutcomes, settleOutcome } from '../domain/outcome.ts'
import { environmentsOf, loadStep, paceOf, type PlanStep } from '../domain/plan.ts'
import type { ReleaseRef } from '../domain/release.ts'
import type { Outcome, StepResult } from '../domain/step.ts'
import { bookkeeping } from './activities.ts'
import { reasonOf } from './failure.ts'
import type { Insisted } from './insist.ts'
import type { RunContext } from './run-context.ts'
import type { Owed } from './saga.ts'
import { createHoldClock, withTimeLimit, type HoldClock } from './time-limit.ts'

type DeployStep = Extract<PlanStep, { kind: 'deploy' }>

/**
 * Asks each environment to deploy the release made upstream, at most `atOnce` at a time, and waits for the answers. The way back of
 * each is owed before it is asked. One that fails stops further ones from being asked: the run takes back what it touched.
 */
export async function deployStep(context: RunContext, step: DeployStep, attempt: number): Promise<void> {
  const startedAt = Date.now()
  const names = environmentsOf(step.deploy)
  const before = deployedBefore(context, step.id)
  const waiting = names.filter((environment) => !before.some((known) => known.environment === environment))
  const answers = new Map<string, Answer>()
  const record = (ended: Pick<Outcome, 'status' | 'reason' | 'result'>): void => {
    const outcome: Outcome = { step: step.id, attempt, epoch: 0, startedAt, endedAt: Date.now(), ...ended }
    context.record([isOverruled(answers) ? outcome : settleOutcome(step, outcome, countLost(context.outcomes, step.id))])
  }
  /** Also of a step that failed: where its next attempt need not go. */
  const made = (): Pick<Outcome, 'result'> => {
    const now = [...answers].flatMap(([environment, { requestId, deploymentId = '', status }]) =>
      isGood(status) ? [{ environment, deploymentId, requestId }] : [],
    )
    const all = [...before, ...now].toSorted((a, b) => names.indexOf(a.environment) - names.indexOf(b.environment))
    return all.length === 0 ? {} : { result: { deployments: all } }
  }
  const hold = createStepHold(context)
  /** And have not answered. */
  const asked = (): string[] =>
    names.filter(
      (name) => !answers.has(name) && !waiting.includes(name) && !before.some(({ environment }) => environment === name),
    )
  const isStopped = (): boolean => [...answers.values()].some(({ status }) => !isGood(status))

  async function deployInTurn(): Promise<void> {
    for (let environment = waiting.shift(); environment !== undefined; environment = waiting.shift()) {
      answers.set(environment, await deployTo(context, step, { environment, attempt, hold }))
      if (isStopped()) return
    }
  }

  context.news.tell({ type: 'step', change: { step: step.id, attempt, epoch: 0, status: 'running', startedAt } })
  try {
    await withTimeLimit(step.timeoutMs, hold, () =>
      endOfAll(Array.from({ length: Math.min(paceOf(step.deploy).atOnce, waiting.length) }, deployInTurn)),
    )
    record({ ...endOf(names, answers, before.length > 0), ...made() })
  } catch (error) {
    if (!isCancellation(error)) throw error
    await callOff(context, step, { environments: asked(), attempt })
    if (CancellationScope.current().consideredCancelled) {
      record({ status: 'cancelled', reason: 'the run was cancelled' })
      throw error
    }
    record({
      status: 'timed_out',
      reason: `${asked().join(', ')} gave no answer within ${String(step.timeoutMs / 1000)} s`,
      ...made(),
    })
  }
}

/** One environment; what of it is to be taken back is owed first. */
async function deployTo(
  context: RunContext,
  step: DeployStep,
  { environment, attempt, hold }: { environment: string; attempt: number; hold: HoldClock },
): Promise<Answer> {
  const request = requestOf(context, step, { environment, attempt })
  const progress = { answered: false }
  const group = step.deploy.environments !== undefined
  context.undo.owe(undoOfDeployment(context, { step: step.id, environment, requestId: request.id, group }, progress))
  const unwatch = watchHold(context, hold, { environment, requestId: request.id })
  try {
    const answer = await context.answers.ask(environment, { type: 'deploy', request }, [
      'deployed',
      'kept',
      'failed',
      'superseded',
      'withdrawn',
      'undone',
      'undo_failed',
    ])
    progress.answered = true
    return answer
  } finally {
    hold.set(request.id, false)
    unwatch()
  }
}

/**
 * What has not been answered must not be begun any more: other undos may come first and take long, and a further attempt of the
 * step asks anew. Says so, and waits for no answer: those are waited for when it is taken back.
 */
async function callOff(
  context: RunContext,
  step: DeployStep,
  { environments, attempt }: { environments: readonly string[]; attempt: number },
): Promise<void> {
  // Each attempt is called off for itself: it does not matter whether one before it was.
  if (environments.length === 0 || !patched('call-off-at-once')) return
  const runId = context.input.run.id
  const tell = async (environment: string): Promise<void> => {
    const requestId = requestIdOf(context, step.id, environment, attempt)
    try {
      await bookkeeping.tellEnvironment({ environment, message: { type: 'withdraw', requestId, runId } })
    } catch (error) {
      log.warn('a request was not called off', { environment, requestId, reason: reasonOf(error) })
    }
  }
  await CancellationScope.nonCancellable(() => Promise.all(environments.map(tell)))
}

/** The step's own, and the run's with it. */
function createStepHold(context: RunContext): HoldClock {
  const own = createHoldClock()
  return {
    ...own,
    set(key, isHeld) {
      own.set(key, isHeld)
      context.hold.set(key, isHeld)
    },
  }
}

/** While its request waits for a freeze to end, the time of the step and of the run stands, and people are told why. */
function watchHold(
  context: RunContext,
  hold: HoldClock,
  { environment, requestId }: { environment: string; requestId: string },
): () => void {
  let told: string | undefined
  return context.answers.watch(requestId, ({ status, reason }) => {
    const why = status === 'queued' ? reason : undefined
    hold.set(requestId, why !== undefined)
    if (why !== undefined && why !== told) context.news.tell({ type: 'waiting', for: `${environment} (${why})` })
    told = why
  })
}

/** The way back of one request, as an entry of the undo stack. `group`: the step has others, so it is told apart from theirs. */
export function undoOfDeployment(
  context: RunContext,
  { step, environment, requestId, group }: { step: string; environment: string; requestId: string; group: boolean },
  progress: { answered: boolean },
): Owed {
  return {
    key: requestId,
    step,
    ...(group ? { environment } : {}),
    does: `take ${environment} back to its newest kept release`,
    how: { type: 'deployment', environment, requestId },
    undo: (again) => takeBack(context, { environment, requestId, answered: progress.answered, again }),
  }
}

/** Waits for all, and then throws what the first one threw: nothing of a step goes on behind its end. */
async function endOfAll(works: readonly Promise<void>[]): Promise<void> {
  for (const ended of await Promise.allSettled(works)) if (ended.status === 'rejected') throw ended.reason as Error
}

type Deployed = NonNullable<StepResult['deployments']>[number]

/** Where an earlier attempt of the step got to: there its deployment stands until the run ends. */
function deployedBefore({ outcomes }: RunContext, step: string): Deployed[] {
  const earlier = outcomes.filter((outcome) => outcome.step === step).flatMap(({ result }) => result?.deployments ?? [])
  return [...new Map(earlier.map((deployed) => [deployed.environment, deployed])).values()]
}

const isGood = (status: Answer['status']): boolean => status === 'deployed' || status === 'kept'

/** A person has put another release there, or blocked this one: a further attempt would undo that. */
function isOverruled(answers: ReadonlyMap<string, Answer>): boolean {
  return [...answers.values()].some(({ status }) => status === 'undone') && patched('undone-is-not-retried')
}

/**
 * A group goes out whole or not at all, so one that was skipped stops it as one that failed does. `stands`: an earlier attempt has got
 * somewhere, and there it serves.
 */
function endOf(
  names: readonly string[],
  answers: ReadonlyMap<string, Answer>,
  stands: boolean,
): Pick<Outcome, 'status' | 'reason'> {
  const bad = [...answers].filter(([, { status }]) => !isGood(status))
  const [first] = bad
  if (first === undefined) return { status: 'succeeded' }
  const ends = bad.map(([environment, answer]) => ({ environment, ...endOfOne(answer) }))
  const told = ends.map(({ environment, reason }) => {
    const name = names.length === 1 ? [] : [environment]
    return [...name, ...(reason === undefined ? [] : [reason])].join(': ')
  })
  const reason = told.filter((text) => text !== '').join('; ')
  const worst = ends.find(({ status }) => status !== 'skipped') ?? ends[0]
  const allSkipped = worst?.status === 'skipped' && answers.size === bad.length
  const skipped = allSkipped && !(stands && patched('what-stands-is-not-skipped'))
  const status = worst === undefined || (worst.status === 'skipped' && !skipped) ? 'failed' : worst.status
  return { status, ...(reason === '' ? {} : { reason }) }
}

function endOfOne({ status, fault, reason: why }: Answer): Pick<Outcome, 'status' | 'reason'> {
  const reason = why === undefined ? {} : { reason: why }
  return { status: status === 'superseded' || status === 'withdrawn' ? 'skipped' : (fault ?? 'failed'), ...reason }
}

/** `withdraw` for a request without an answer yet: it may be queued, under way, or never have arrived. */
async function takeBack(
  context: RunContext,
  { environment, requestId, answered, again }: { environment: string; requestId: string; answered: boolean; again: boolean },
): Promise<Insisted> {
  const runId = context.input.run.id
  const type = answered ? 'undo' : 'withdraw'
  const latest = context.answers.find(requestId)
  const after = again && latest !== undefined ? { after: latest.at } : {}
  const ends = ['withdrawn', 'undone', 'undo_failed', 'superseded'] as const
  // Settling asks one environment after the other. If a later one does not serve any more, the run has not settled after all.
  if (latest?.status === 'kept' && patched('undo-what-was-kept')) {
    const answer = await context.answers.ask(environment, { type: 'undo', requestId, runId, kept: true, ...after }, ends)
    return endOfUndo(environment, answer)
  }
  const answer = await context.answers.ask(environment, { type, requestId, runId, ...after }, [...ends, 'kept'])
  return endOfUndo(environment, answer)
}

function endOfUndo(environment: string, { status, reason }: Answer): Insisted {
  if (status === 'kept') return { type: 'failed', reason: `${environment} has kept it already` }
  if (status !== 'undo_failed') return { type: 'done' }
  return { type: 'failed', reason: reason ?? `${environment} could not be taken back` }
}

/**
 * The run settles: what it deployed is kept, but for what has settled before; with `steps` only what those deployed. Throws if
 * something does not serve any more: then the run has not settled.
 */
export async function keepDeployments(context: RunContext, steps?: ReadonlySet<string>): Promise<void> {
  const runId = context.input.run.id
  const owed = new Set(context.undo.remains().flatMap(({ status, key }) => (status === 'owed' ? [key] : [])))
  for (const outcome of latestOutcomes(context.outcomes).values()) {
    if (outcome.status !== 'succeeded' || steps?.has(outcome.step) === false) continue
    for (const { environment, requestId: asked } of outcome.result?.deployments ?? []) {
      const requestId = asked ?? requestIdOf(context, outcome.step, environment, outcome.attempt)
      if (!owed.has(requestId)) continue
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

function requestOf(
  context: RunContext,
  step: DeployStep,
  { environment, attempt }: { environment: string; attempt: number },
): DeployRequest {
  const { run, resume } = context.input
  const { environments: _group, atOnce: _pace, ...deploy } = step.deploy
  return {
    id: requestIdOf(context, step.id, environment, attempt),
    runId: run.id,
    step: step.id,
    release: releaseFor(context, step),
    deploy: { ...deploy, environment },
    ref: run.trigger.ref,
    sequence: run.sequence,
    forced: run.trigger.event === 'manual' || resume !== undefined,
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
