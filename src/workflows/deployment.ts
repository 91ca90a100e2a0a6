// Long because a deployment, its way back, rollback and recovery are one story about one state.
import { CancellationScope, condition, isCancellation, log, patched, uuid4 } from '@temporalio/workflow'
import type { DeployOperation, Observation, Operation } from '../contract/activities.ts'
import { defaults } from '../domain/defaults.ts'
import type {
  Answer,
  Deployment,
  DeploymentPhase,
  DeployRequest,
  EnvironmentState,
  Migration,
  RollbackRequest,
} from '../domain/environment.ts'
import { isBlocked } from '../domain/environment-blocks.ts'
import { noteGiven } from '../domain/environment-given.ts'
import * as rules from '../domain/environment-rules.ts'
import { BelayError } from '../domain/errors.ts'
import { findDowns, findHindrance, findOwn, findUps, forgetMigrations, levelFor } from '../domain/migrations.ts'
import type { Deploy } from '../domain/plan.ts'
import type { ReleaseRef } from '../domain/release.ts'
import { deployer, deployerBriefly, deployerOnce, inline, bookkeeping } from './activities.ts'
import { createMigrations } from './deployment-migrations.ts'
import { backTo, clear, interrupted, mustBeHealthy, silentNews, told, type TakeOperations } from './deployment-phases.ts'
import { reasonOf } from './failure.ts'
import { insist, type Insisted } from './insist.ts'
import { createNews, type News } from './news.ts'

/** Carries deployments out: `migrate → stage → check → activate → verify → retire`, and the way back from each. */
export interface Deployer {
  deploy(request: DeployRequest): Promise<void>
  /** What a person asked for: a rollback or, if it names its release, a deployment. Neither belongs to a run. */
  rollback(request: RollbackRequest): Promise<void>
  /** Takes back what this request deployed, if it still serves. */
  undo(requestId: string): Promise<void>
  /** A fresh owner: asks the target, ends what was unfinished. */
  recover(silenceMs: number, sleep: (ms: number) => Promise<void>): Promise<void>
  /** Has that job come to its end, and is only written down before it is answered? Then it is not to be answered otherwise. */
  isFinishing(job: Job['type'], requestId: string): boolean
  /** After a fault of ours: the deployment in progress counts as one that could not be done. Throws nothing. */
  abandon(reason: string): Promise<void>
  /** Writes the state to the store. */
  record(deployment?: Deployment): Promise<void>
}

interface Job {
  type: 'deploy' | 'undo'
  requestId: string
}

type Options = Pick<Deploy, 'health' | 'bakeMs' | 'strategy'> & {
  /** To be applied first, in this order. */
  migrations?: readonly Migration[]
  /** Where the environment's data is once it serves: what is newer is taken down afterwards. Absent: where it is then. */
  level?: { id: string | undefined }
}
type Served = 'provisional' | 'kept'

const phaseLimitMs = defaults.deployment.phaseMs
const tryLimit = { tryMs: phaseLimitMs }
const endedFromOutside = 'its workflow was ended from outside'

/** Between two series of questions to a target that does not answer. */
const askAgainMs = 10_000

type Tell = (runId: string, answer: Answer) => void

interface Deps {
  tell: Tell
  /** A fresh owner with nothing on record: before its first operation it asks the target what that has seen. */
  isBlank: boolean
}

export function createDeployer(state: EnvironmentState, { tell, isBlank }: Deps): Deployer {
  const environment = state.name
  let asksFirst = isBlank
  /** Of a run, until it is answered. */
  let inHand: Job | undefined

  /** An undo of this very request, or a person's rollback, goes before a run's deployment. */
  function isUrgent(): boolean {
    return rules.findUrgent(state) !== undefined
  }

  function interruption(): BelayError {
    const { active } = state
    const by = rules.findUrgent(state)
    if (active !== undefined && by?.type === 'rollback') overruled.add(active.id)
    return interrupted(by?.type === 'rollback' ? by.request : undefined)
  }

  /** Deployments of ours that have not begun to switch traffic. */
  const untouched = new Set<string>()

  /** Deployments of runs that a person's rollback has interrupted. */
  const overruled = new Set<string>()

  /** The release was no good (`failed`), or we could not do it (`errored`). */
  const faults = new Map<string, 'failed' | 'errored'>()

  async function record(deployment?: Deployment): Promise<void> {
    state.revision += 1
    await inline.recordEnvironment({ state, ...(deployment === undefined ? {} : { deployment }) })
  }

  /** Each has a new fencing number, on disk before it is used. `idOf` makes an operation's id of its name and that. */
  function takeOperations(idOf: (name: string, fence: number) => string): TakeOperations {
    return async <Names extends string[]>(...names: Names) => {
      if (asksFirst) await learnFence()
      asksFirst = false
      const first = state.fence + 1
      state.fence += names.length
      await inline.takeFence({ environment, fence: state.fence })
      const operations = names.map((name, n): Operation => {
        const fence = first + n
        return { environment, fence, operationId: idOf(name, fence) }
      })
      return operations as { [N in keyof Names]: Operation }
    }
  }

  async function nextOperation(idOf: (fence: number) => string): Promise<Operation> {
    const [operation] = await takeOperations((_, fence) => idOf(fence))('')
    return operation
  }

  const migrations = createMigrations({ state, nextOperation, record })

  /** The way forward. Throws why it did not work; what it did is then taken back by the caller. */
  async function goForward(deployment: Deployment, options: Options, news: News): Promise<void> {
    const { release } = deployment
    const activities = deployer(phaseLimitMs + options.bakeMs)
    const phase = async <T>(name: DeploymentPhase, body: (operation: DeployOperation) => Promise<T>): Promise<T> => {
      if (isUrgent()) throw interruption()
      const operation = await nextOperation(() => `${deployment.id}/${name}`)
      return told(news, deployment, name, () => body({ ...operation, release, deploy: optionsOf(options) }))
    }

    for (const migration of options.migrations ?? []) {
      if (isUrgent()) throw interruption()
      // From its beginning to its end, as a switch of traffic: what is cut in the middle is hard to take back.
      await migrations.up(deployment, migration, news)
    }
    await phase('stage', async (operation) => {
      // From here on what served does not run any more: there is a way back to go.
      if (options.strategy === 'recreate') untouched.delete(deployment.id)
      const staged = await unlessUrgent(() => activities.stage(operation))
      noteGiven(state, release.image.digest, staged?.given)
    })
    await phase('check', async (operation) =>
      mustBeHealthy('did not become healthy', await unlessUrgent(() => activities.check(operation))),
    )
    await phase('activate', async (operation) => {
      untouched.delete(deployment.id)
      await activities.activate(operation)
      noteTraffic(deployment, options.level)
    })
    await record(deployment)
    await phase('verify', async (operation) =>
      mustBeHealthy('failed under traffic', await unlessUrgent(() => activities.verify(operation))),
    )
    await phase('retire', (operation) => activities.retire(operation))
  }

  function noteTraffic(deployment: Deployment, level: Options['level'] = { id: state.level }): void {
    const { id: deploymentId, release, requestId, strategy } = deployment
    deployment.activatedAt = Date.now()
    rules.noteServed(state, {
      ...{ release, deploymentId, requestId, status: 'provisional', at: Date.now() },
      ...(strategy === undefined ? {} : { strategy }),
      ...(level.id === undefined ? {} : { level: level.id }),
    })
  }

  /** An undo or a rollback interrupts what only watches or prepares, never a switch in flight. */
  async function unlessUrgent<T>(body: () => Promise<T>): Promise<T> {
    const scope = new CancellationScope()
    const watching = scope.run(async () => {
      await condition(isUrgent)
      scope.cancel()
    })
    watching.catch(() => undefined) // Ends with the scope.
    try {
      return await scope.run(body)
    } catch (error) {
      throw isCancellation(error) ? interruption() : error
    } finally {
      scope.cancel()
    }
  }

  /** Back to the newest kept release, verified like a deployment; with nothing kept, traffic is taken off. */
  async function goBack(
    deployment: Deployment,
    news: News,
    { past = false, to = () => rules.newestKept(state) }: { past?: boolean; to?: () => ReturnType<typeof rules.newestKept> } = {},
  ): Promise<void> {
    for (const served of state.history)
      if (served.deploymentId === deployment.id && served.status === 'provisional') served.status = 'undone'
    if (untouched.has(deployment.id) && state.current !== undefined) return takeAway(deployment, news, past)
    let kept: ReturnType<typeof rules.newestKept>
    let result: Insisted
    // A run may settle meanwhile: then there is a newer one to go back to.
    do {
      kept = to()
      const obstacle = past ? undefined : (migrations.obstacle(levelOf(kept)) ?? missing(kept))
      if (obstacle !== undefined) return noteUndo(deployment, { type: 'failed', reason: obstacle }, true)
      result = await goBackTo(deployment, kept, news)
    } while (result.type === 'done' && to() !== kept)
    if (result.type === 'done') {
      if (kept === undefined) delete state.current
      else state.current = { release: kept.release, deploymentId: kept.deploymentId }
      rules.passOver(state, kept, Date.now())
      // Traffic is on what suits the data before and after.
      result = await migrations.downTo(levelOf(kept), deployment, { news, past })
      // A person has said that it serves on the data as it is.
      if (past && result.type === 'done' && kept !== undefined && missing(kept) !== undefined) rules.noteLevel(kept, state.level)
    }
    if (result.type === 'done') rules.freeAllStuck(state, Date.now())
    noteUndo(deployment, result)
  }

  /** Where the data is to be once that serves. Nothing serves: what was settled stays, whether its release may come again or not. */
  function levelOf(kept: ReturnType<typeof rules.newestKept>): string | undefined {
    if (kept !== undefined) return kept.level
    const level = rules.newestSettled(state)?.level
    return level !== undefined && patched('back-to-a-level') ? level : undefined
  }

  /** What a release to go back to serves on, and was taken down since. Nobody has seen what serves now bear that it is applied again. */
  function missing(kept: ReturnType<typeof rules.newestKept>): string | undefined {
    if (kept === undefined) return undefined
    const [up] = findUps(state, kept.level)
    if (up === undefined || !patched('back-to-a-level')) return undefined
    const release = String(kept.release.number)
    const what = `release ${release} serves on the migration of release ${String(up.release.number)}, which was taken down since`
    return `${what}; \`belay retry\` goes back to it all the same, \`belay rollback\` applies it first, \`belay skip\` leaves all as it is`
  }

  function goBackTo(deployment: Deployment, kept: ReturnType<typeof rules.newestKept>, news: News): Promise<Insisted> {
    return insist(async () => {
      const activities = deployerOnce(phaseLimitMs)
      const step = undoStepOf(deployment)
      const { strategy = 'blue_green' } = deployment
      await told(news, deployment, 'undo', () =>
        kept === undefined ? clear(activities, step) : backTo({ state, release: kept.release, strategy }, activities, step),
      )
    }, tryLimit)
  }

  /** Traffic never went to it: it is stopped, and what serves goes on serving, provisional or kept. */
  async function takeAway(deployment: Deployment, news: News, past: boolean): Promise<void> {
    let result = await insist(async () => {
      const activities = deployerOnce(phaseLimitMs)
      await told(news, deployment, 'undo', async () => {
        const [operation] = await undoStepOf(deployment)('retire')
        await activities.retire(operation)
      })
    }, tryLimit)
    const own = findOwn(state, { migration: deployment.migration, requestId: rules.requestOf(deployment) })
    if (result.type === 'failed' || own === undefined) return noteUndo(deployment, result)
    const parked = !past && migrations.obstacle(own.on) !== undefined
    result = await migrations.downTo(own.on, deployment, { news, past })
    noteUndo(deployment, result, parked)
  }

  /** Named by their fences: it is tried again, by a fresh owner, too, who does not know how often it was. */
  function undoStepOf({ id }: Deployment): TakeOperations {
    return takeOperations((name, fence) => `${id}/undo-${name}/${String(fence)}`)
  }

  /** `parked`: nothing was tried that could not be done, a person is to decide. */
  function noteUndo(deployment: Deployment, result: Insisted, parked = false): void {
    if (!parked) deployment.undoneAt = Date.now()
    deployment.status = result.type === 'failed' ? 'undo_failed' : deployment.kind === 'undo' ? 'deployed' : 'undone'
    if (result.type === 'done') return
    deployment.reason = `${deployment.reason === undefined ? '' : `${deployment.reason}; `}could not be taken back: ${result.reason}`
    rules.noteStuck(state, deployment, untouched.has(deployment.id), parked)
  }

  /** From `begin` to the recorded end, whatever happens between. */
  async function carryOut(deployment: Deployment, options: Options, as: Served, news: News): Promise<void> {
    state.active = deployment
    untouched.add(deployment.id)
    await record(deployment)
    try {
      await goForward(deployment, options, news)
      for (const served of state.history) if (served.deploymentId === deployment.id) served.status = as
      rules.freeAllStuck(state, Date.now())
      const left = await settleLevel(deployment, options, news)
      deployment.status = left === undefined ? 'deployed' : 'undo_failed'
      if (left !== undefined) deployment.reason = left
    } catch (error) {
      deployment.reason = reasonOf(error)
      await goBack(deployment, news)
      if (deployment.status === 'undone') deployment.status = 'failed'
      faults.set(deployment.id, error instanceof BelayError && error.code === 'refused' ? 'failed' : 'errored')
    }
    untouched.delete(deployment.id)
    await finish(deployment, news)
  }

  /**
   * An older release serves: what was migrated since is taken down. It serves well without that, too, so nothing is taken back for it. Gives
   * what could not be done.
   */
  async function settleLevel(deployment: Deployment, { level }: Options, news: News): Promise<string | undefined> {
    if (level === undefined || findDowns(state, level.id).length === 0) return undefined
    // On record first: from the first of them on there is no other way than forward.
    await record(deployment)
    const result = await migrations.downTo(level.id, deployment, { news, past: false })
    if (result.type === 'done') return undefined
    return `release ${String(deployment.release.number)} serves, but ${result.reason}`
  }

  async function finish(deployment: Deployment, news: News): Promise<void> {
    deployment.endedAt = Date.now()
    delete state.active
    forgetMigrations(state)
    await record(deployment)
    const rest = await news.drain()
    if (rest.length > 0 && deployment.runId !== undefined)
      await bookkeeping.recordRunEvents({ runId: deployment.runId, events: rest })
  }

  function begin(
    input: Pick<Deployment, 'kind' | 'release' | 'requestId'> &
      Partial<Pick<Deployment, 'runId' | 'actor' | 'reason' | 'strategy'>>,
  ): Deployment {
    const previous = state.current === undefined ? {} : { previous: state.current.release }
    return { id: uuid4(), environment, status: 'running', startedAt: Date.now(), ...previous, ...input }
  }

  /** How what serves was put there: two that cannot run side by side cannot on the way back either. */
  function strategyNow(): Deploy['strategy'] {
    const { current } = state
    return state.history.findLast(({ deploymentId }) => deploymentId === current?.deploymentId)?.strategy ?? 'blue_green'
  }

  /** One that had to be alone here before still has to. */
  function strategyFor(release: ReleaseRef): Deploy['strategy'] {
    const before = state.history.findLast((served) => served.release.id === release.id)?.strategy
    return before === 'recreate' ? before : strategyNow()
  }

  function answer(deployment: Deployment): Answer {
    const base = { requestId: deployment.requestId, deploymentId: deployment.id, at: Date.now() }
    const reason = deployment.reason === undefined ? {} : { reason: deployment.reason }
    const isOverruled = overruled.delete(deployment.id)
    if (deployment.status === 'deployed') return rules.remember(state, { ...base, status: 'deployed' })
    if (deployment.status === 'undo_failed') return rules.remember(state, { ...base, status: 'undo_failed', ...reason })
    const cause = faults.get(deployment.id) ?? 'failed'
    faults.delete(deployment.id)
    // Not to be tried again: a person wants another release to serve.
    if (isOverruled) return rules.remember(state, { ...base, status: 'undone', ...reason })
    return rules.remember(state, { ...base, status: 'failed', fault: cause, ...reason })
  }

  /** What the target says, however long it is away: without that nothing can be decided. Shown as a deployment that waits. */
  async function observe(sleep: (ms: number) => Promise<void>): Promise<Observation> {
    const before = state.active?.reason
    for (;;) {
      try {
        const seen = await deployer(phaseLimitMs).observe({ environment })
        if (state.active !== undefined) noteReason(state.active, before)
        return seen
      } catch (error) {
        const { current } = state
        if (current !== undefined) state.active ??= beginRecovery(current.release)
        if (state.active !== undefined) state.active.reason = `${endedFromOutside}; waiting for the target: ${reasonOf(error)}`
        await record(state.active)
        await sleep(askAgainMs)
      }
    }
  }

  function beginRecovery(release: ReleaseRef): Deployment {
    return begin({ kind: 'recovery', release, requestId: `recovery/${uuid4()}`, strategy: strategyNow() })
  }

  /** Nothing is on record. Should it have been lost, the target refuses what is not newer than all that it has seen. */
  async function learnFence(): Promise<void> {
    if (!patched('empty-asks-target')) return
    try {
      state.fence = Math.max(state.fence, (await deployerBriefly.observe({ environment })).fence)
    } catch (error) {
      // A deployment will tell, and be told.
      log.warn('the target does not say what it has seen', { environment, reason: reasonOf(error) })
    }
  }

  /** What serves by the record, if its run has yet to settle it and it may serve. */
  function findOnto(): ReturnType<typeof rules.provisionalNow> {
    const intended = rules.provisionalNow(state)
    if (intended === undefined || !patched('recover-onto-provisional')) return undefined
    return isBlocked(state, intended.release) && patched('recover-not-onto-blocked') ? undefined : intended
  }

  /** Its run lives by that: it says its request again ever more rarely. */
  function tellRecovered({ runId }: Deployment, ended: Answer): void {
    // An undo that came in before is answered by its own job.
    if (runId === undefined || state.undos.includes(ended.requestId)) return
    if (patched('recovery-tells')) tell(runId, ended)
  }

  function newsOf(deployment: Deployment): News {
    // Its own writer for each deployment: the fence at its start is unique.
    return createNews({ runId: deployment.runId ?? '', source: `environment/${environment}`, epoch: state.fence })
  }

  return {
    record,
    isFinishing: (type, requestId) => inHand?.type === type && inHand.requestId === requestId && state.active === undefined,
    async abandon(reason) {
      const { active } = state
      inHand = undefined
      if (active === undefined) return
      delete state.active
      active.status = 'undo_failed'
      active.reason = reason
      active.endedAt = Date.now()
      rules.noteStuck(state, active, untouched.delete(active.id))
      const ended = answer({ ...active, requestId: rules.requestOf(active) })
      if (active.runId !== undefined) tell(active.runId, ended)
      if (!patched('abandoned-is-recorded')) return
      try {
        await record(active)
      } catch (error) {
        log.warn('an abandoned deployment was not recorded', { environment, reason: reasonOf(error) })
      }
    },
    async deploy(request) {
      inHand = { type: 'deploy', requestId: request.id }
      const deployment = begin({
        ...{ kind: 'deploy', release: request.release, requestId: request.id, runId: request.runId },
        strategy: request.deploy.strategy,
      })
      tell(request.runId, { requestId: request.id, status: 'running', deploymentId: deployment.id, at: Date.now() })
      state.newest[request.ref] = Math.max(state.newest[request.ref] ?? 0, request.sequence)
      const { migrate } = request.deploy
      const on = state.level === undefined ? {} : { on: state.level }
      const about = { id: deployment.id, release: request.release, requestId: request.id, ...on }
      const own = migrate === undefined ? {} : { migrations: [{ ...migrate, ...about }] }
      await carryOut(deployment, { ...request.deploy, ...own }, 'provisional', newsOf(deployment))
      const ended = answer(deployment)
      inHand = undefined
      // An undo that came in meanwhile is answered by its own job.
      if (!state.undos.includes(request.id)) tell(request.runId, ended)
    },
    async rollback(request) {
      const release = request.release ?? rules.findRollbackRelease(state, request)
      if (release === undefined) {
        const reason = `${environment} does not know that release any more`
        rules.remember(state, { requestId: request.id, status: 'failed', fault: 'failed', reason, at: Date.now() })
        if (patched('forgotten-is-recorded')) await record()
        return
      }
      const back = rules.isWayBack(request)
      const strategy = back ? strategyNow() : strategyFor(release)
      const deployment = begin({
        ...{ kind: back ? 'rollback' : 'deploy', release, requestId: request.id, actor: request.actor, strategy },
        ...(request.reason === undefined ? {} : { reason: request.reason }),
      })
      const hindrance = findHindrance(state, release)
      if (hindrance === undefined) {
        const level = { id: levelFor(state, release) }
        const ups = findUps(state, level.id)
        await carryOut(deployment, { health: {}, bakeMs: 0, strategy, level, migrations: ups }, 'kept', silentNews)
      } else {
        // What was deployed since it was asked for has changed that.
        await finish(Object.assign(deployment, { status: 'failed', reason: hindrance.message }), silentNews)
      }
      answer(deployment)
    },
    async undo(requestId) {
      const served = state.history.findLast((candidate) => candidate.requestId === requestId)
      const runId = requestId.split('/')[0] ?? ''
      const known = state.answers.find((candidate) => candidate.requestId === requestId)
      const stuck = rules.findStuck(state, requestId)
      const wrong = served !== undefined && state.current?.deploymentId === served.deploymentId ? served : stuck
      if (wrong === undefined) {
        const status = known?.status === 'undo_failed' ? 'undo_failed' : 'undone'
        const reason = known?.reason === undefined ? {} : { reason: known.reason }
        tell(runId, rules.remember(state, { requestId, status, ...reason, at: Date.now() }))
        return
      }
      inHand = { type: 'undo', requestId }
      const kept = rules.newestKept(state)
      const deployment = begin({
        kind: 'undo',
        release: kept?.release ?? wrong.release,
        requestId: rules.undoRequestId(requestId, stuck?.tries),
        runId,
        strategy: wrong.strategy ?? 'blue_green',
      })
      if (stuck?.untouched === true) untouched.add(deployment.id)
      const news = newsOf(deployment)
      state.active = deployment
      await record(deployment)
      if (served !== undefined) served.status = 'undone'
      await goBack(deployment, news, { past: stuck?.parked === true })
      untouched.delete(deployment.id)
      const failed = deployment.status === 'undo_failed'
      if (!failed) rules.freeStuck(state, requestId)
      await finish(deployment, news)
      inHand = undefined
      const reason = failed && deployment.reason !== undefined ? { reason: deployment.reason } : {}
      tell(runId, rules.remember(state, { requestId, status: failed ? 'undo_failed' : 'undone', ...reason, at: Date.now() }))
    },
    async recover(silenceMs, sleep) {
      const { active } = state
      if (active !== undefined) await sleep(silenceMs)
      if (active === undefined && state.current === undefined) return
      const seen = await observe(sleep)
      state.fence = Math.max(state.fence, seen.fence)
      if (active === undefined && seen.servingDigest === state.current?.release.image.digest) {
        if (state.active !== undefined) await finish(Object.assign(state.active, { status: 'deployed' }), silentNews)
        return
      }
      // What is unfinished was never noted to have traffic: then what the record says is the intended one, settled or not.
      const stays = active?.kind !== 'undo' && !state.history.some(({ deploymentId }) => deploymentId === active?.id)
      const onto = stays ? findOnto() : undefined
      const kept = onto ?? rules.newestKept(state)
      const release = active?.release ?? kept?.release ?? state.current?.release
      if (release === undefined) return
      const deployment = state.active ?? beginRecovery(release)
      deployment.reason ??= endedFromOutside
      // Should the way back fail, the record says what serves.
      if (stays && active !== undefined && active.release.image.digest === seen.servingDigest) {
        noteTraffic(active, { id: active.runId === undefined ? levelFor(state, active.release) : state.level })
      }
      const news = deployment.runId === undefined ? silentNews : newsOf(deployment)
      const requestId = rules.requestOf(deployment)
      const stuck = rules.findStuck(state, requestId)
      const isKept = state.history.some(({ deploymentId, status }) => deploymentId === deployment.id && status === 'kept')
      if (deployment.kind === 'undo') {
        if (stuck?.untouched === true) untouched.add(deployment.id)
        for (const served of state.history)
          if (served.requestId === requestId && served.status === 'provisional') served.status = 'undone'
      }
      await goBack(deployment, news, {
        past: deployment.kind === 'undo' && stuck?.parked === true,
        ...(onto === undefined ? {} : { to: () => onto }),
      })
      untouched.delete(deployment.id)
      if (deployment.status === 'undone') deployment.status = isKept ? 'deployed' : 'failed'
      if (deployment.status === 'deployed' && isKept) delete deployment.reason
      // It was we who did not get it done.
      if (deployment.status === 'failed') faults.set(deployment.id, 'errored')
      if (deployment.kind === 'undo' && deployment.status === 'deployed') rules.freeStuck(state, requestId)
      await finish(deployment, news)
      const ended = answer(deployment)
      // Its run asks about what was to be taken back, and not about the way back.
      if (deployment.kind !== 'undo') return tellRecovered(deployment, ended)
      const status = deployment.status === 'deployed' ? 'undone' : 'undo_failed'
      const reason = deployment.reason === undefined ? {} : { reason: deployment.reason }
      const more = status === 'undo_failed' ? reason : {}
      tellRecovered(deployment, rules.remember(state, { requestId, status, ...more, at: Date.now() }))
    },
  }
}

function noteReason(deployment: Deployment, reason: string | undefined): void {
  if (reason === undefined) delete deployment.reason
  else deployment.reason = reason
}

/** As activities take them. */
function optionsOf({ health, bakeMs, strategy }: Options): DeployOperation['deploy'] {
  return { health, bakeMs, strategy }
}
