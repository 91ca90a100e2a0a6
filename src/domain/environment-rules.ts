// Long because what is asked of an environment and what it does next are rules about one state.
/**
 * What an environment answers and does next: pure functions on its state. The workflow `environment/<name>` is the only
 * one that calls them; they change the state they are given.
 */
import {
  environmentMemory,
  type Answer,
  type Deployment,
  type DeployRequest,
  type EnvironmentState,
  type RollbackRequest,
  type Served,
  type Stuck,
} from './environment.ts'
import { blockedAnswer, isBlocked } from './environment-blocks.ts'
import type { ReleaseRef } from './release.ts'

type Change = NonNullable<EnvironmentState['changes']>[number]

export function emptyEnvironment(name: string, fence: number): EnvironmentState {
  return { name, fence, revision: 0, history: [], queue: [], rollbacks: [], undos: [], answers: [], newest: {} }
}

/** What has become of a request, as far as we know it. */
export function findAnswer(state: EnvironmentState, requestId: string, now: number): Answer | undefined {
  if (state.queue.some(({ id }) => id === requestId)) return queuedAnswer(state, requestId, now)
  if (state.active?.requestId === requestId) return { requestId, status: 'running', deploymentId: state.active.id, at: now }
  return state.answers.find((answer) => answer.requestId === requestId)
}

/** With a reason if it waits for something else than its turn. */
export function queuedAnswer({ held }: EnvironmentState, requestId: string, now: number): Answer {
  return { requestId, status: 'queued', at: now, ...(held === undefined ? {} : { reason: held.reason }) }
}

/** Remembers an answer in place of an older one to the same request. */
export function remember(state: EnvironmentState, answer: Answer): Answer {
  const others = state.answers.filter(({ requestId }) => requestId !== answer.requestId)
  state.answers = [...others, answer].slice(-environmentMemory)
  return answer
}

/** A run asks for a deployment: queued, unless it is known already or a newer one of its ref was deployed. */
export function receiveRequest(state: EnvironmentState, request: DeployRequest, now: number): Answer {
  const known = findAnswer(state, request.id, now)
  if (known !== undefined) return known
  if (isSuperseded(state, request)) return remember(state, supersededBy(state, request, now))
  const blocked = blockedAnswer(state, request, now)
  if (blocked !== undefined) return remember(state, blocked)
  state.queue.push(request)
  return queuedAnswer(state, request.id, now)
}

export function isSuperseded(state: EnvironmentState, request: DeployRequest): boolean {
  return !request.forced && (state.newest[request.ref] ?? -1) > request.sequence
}

export function supersededBy(state: EnvironmentState, request: DeployRequest, now: number): Answer {
  const reason = `a newer push to ${request.ref} was deployed to ${state.name} before`
  return { requestId: request.id, status: 'superseded', reason, at: now }
}

/** The run settled. A release that was taken back meanwhile stays so. */
export function receiveKeep(state: EnvironmentState, requestId: string, now: number): Answer {
  const served = findServed(state, requestId)
  if (served?.status === 'undone' || served?.status === 'blocked') {
    const known = findAnswer(state, requestId, now)
    return known?.status === 'undone' ? known : { requestId, status: 'undone', at: now }
  }
  if (served === undefined) {
    const known = findAnswer(state, requestId, now)
    // Out of our memory since, but it was served.
    if (known?.status === 'deployed') return remember(state, { ...known, status: 'kept', at: now })
    return known ?? remember(state, { requestId, status: 'withdrawn', reason: 'unknown request', at: now })
  }
  served.status = 'kept'
  return remember(state, { requestId, status: 'kept', deploymentId: served.deploymentId, at: now })
}

/** Its run said `keep` and could not settle in all its environments: nothing of it is settled then. */
export function unkeep(state: EnvironmentState, requestId: string): void {
  const served = findServed(state, requestId)
  const known = state.answers.find((answer) => answer.requestId === requestId)
  // Out of our memory since: it does not serve any more, and that it was kept is all that is left to take back.
  if (served === undefined && known?.status === 'kept') remember(state, { ...known, status: 'deployed' })
  if (served?.status !== 'kept') return
  served.status = 'provisional'
  remember(state, { requestId, status: 'deployed', deploymentId: served.deploymentId, at: served.at })
}

/** The deployment that takes a request back has an id of its own, another one for each time that a person has it tried. */
export function undoRequestId(requestId: string, failedTries = 0): string {
  return failedTries === 0 ? `${requestId}/undo` : `${requestId}/undo-${String(failedTries + 1)}`
}

/** The request that a deployment carries out or takes back. */
export function requestOf({ kind, requestId }: Pick<Deployment, 'kind' | 'requestId'>): string {
  return kind === 'undo' ? requestId.replace(/\/undo(-\d+)?$/, '') : requestId
}

function isUndoOf(deployment: Deployment | undefined, requestId: string): boolean {
  return deployment?.kind === 'undo' && requestOf(deployment) === requestId
}

/**
 * The run failed or was cancelled: forget a queued request, take back one that is under way or serving. Undefined: that
 * takes a while; the answer comes when it is done. `after`: a person wants it tried again, and has seen that the try
 * answered at that time failed; a newer answer is already that of the further try.
 */
export function receiveUndo(state: EnvironmentState, requestId: string, now: number, after?: number): Answer | undefined {
  const queued = state.queue.findIndex(({ id }) => id === requestId)
  if (queued >= 0) {
    state.queue.splice(queued, 1)
    return remember(state, { requestId, status: 'withdrawn', at: now })
  }
  // Its way back is under way: that job answers.
  if (isUndoOf(state.active, requestId)) return undefined
  const served = findServed(state, requestId)
  const current = served !== undefined && state.current?.deploymentId === served.deploymentId
  if (state.active?.requestId === requestId || (current && served.status === 'provisional')) {
    if (served !== undefined) served.status = 'undone'
    if (!state.undos.includes(requestId)) state.undos.push(requestId)
    return undefined
  }
  if (state.undos.includes(requestId)) return undefined
  // Not serving any more: marked, so that nothing ever goes back to it.
  if (served?.status === 'provisional') served.status = 'undone'
  const known = findAnswer(state, requestId, now)
  if (after !== undefined && (known === undefined || (known.status === 'undo_failed' && known.at <= after))) {
    if (current || findStuck(state, requestId) !== undefined) {
      state.undos.push(requestId)
      return undefined
    }
    // Nothing is noted of what it left: saying that it is gone would be a guess.
    const reason = known?.reason ?? `${state.name} knows nothing of it any more`
    return remember(state, { ...known, requestId, status: 'undo_failed', reason, at: now })
  }
  if (known === undefined) return remember(state, { requestId, status: 'withdrawn', at: now })
  if (known.status === 'failed' || known.status === 'deployed') {
    return remember(state, { ...known, status: 'undone', at: now })
  }
  return known
}

export function findStuck(state: EnvironmentState, requestId: string): Stuck | undefined {
  return state.stuck?.find((stuck) => stuck.requestId === requestId)
}

/** The way back from a run's deployment failed. */
export function noteStuck(state: EnvironmentState, deployment: Deployment, untouched: boolean, parked = false): void {
  // A person's rollback is no run's: nobody asks for its way back.
  if (deployment.runId === undefined) return
  const requestId = requestOf(deployment)
  const known = findStuck(state, requestId)
  const { release, strategy } = known ?? deployment
  const more = { ...(strategy === undefined ? {} : { strategy }), ...(parked || known?.parked === true ? { parked: true } : {}) }
  const stuck = { requestId, release, untouched, tries: (known?.tries ?? 0) + 1, ...more }
  const others = (state.stuck ?? []).filter((other) => other.requestId !== requestId)
  state.stuck = [...others, stuck].slice(-environmentMemory)
}

/** Its way back was gone after all. */
export function freeStuck(state: EnvironmentState, requestId: string): void {
  const others = state.stuck?.filter((other) => other.requestId !== requestId) ?? []
  if (others.length > 0) state.stuck = others
  else delete state.stuck
}

/** Traffic is on a release that was verified and nothing else runs: whatever could not be taken back is gone with that. */
export function freeAllStuck(state: EnvironmentState, now: number): void {
  for (const { requestId } of state.stuck ?? []) {
    const known = findAnswer(state, requestId, now)
    if (known !== undefined && known.status !== 'undo_failed') continue
    const reason = `another release has taken its place in ${state.name} since`
    remember(state, { ...known, requestId, status: 'undone', reason, at: now })
  }
  delete state.stuck
}

function findServed(state: EnvironmentState, requestId: string): Served | undefined {
  return state.history.findLast((served) => served.requestId === requestId)
}

/** Going back means the newest release that is kept and not blocked, never merely the one before. */
export function newestKept(state: Pick<EnvironmentState, 'history' | 'blocked'>): Served | undefined {
  return state.history.findLast((served) => served.status === 'kept' && !isBlocked(state, served.release))
}

/** The newest that a run has settled, or a person has put there, blocked since or not: the data is as it needs it. */
export function newestSettled({ history }: Pick<EnvironmentState, 'history'>): Served | undefined {
  return history.findLast(({ status }) => status === 'kept')
}

export function noteLevel(served: Served, level: string | undefined): void {
  if (level === undefined) delete served.level
  else served.level = level
}

/** What serves by the record, if a run has yet to settle it. */
export function provisionalNow({ history, current }: Pick<EnvironmentState, 'history' | 'current'>): Served | undefined {
  const served = history.findLast(({ deploymentId }) => deploymentId === current?.deploymentId)
  return served?.status === 'provisional' ? served : undefined
}

/**
 * After going back: releases served since that one and still provisional were passed over. They do not serve, so their
 * runs must not end as if they did. `kept` absent: nothing was kept, and all of them were.
 */
export function passOver(state: EnvironmentState, kept: Served | undefined, now: number): void {
  const since = kept === undefined ? 0 : state.history.lastIndexOf(kept) + 1
  const back = kept === undefined ? 'nothing' : `release ${String(kept.release.number)}`
  for (const served of state.history.slice(since)) {
    if (served.status !== 'provisional') continue
    served.status = 'undone'
    const reason = `${state.name} went back to ${back} when a later deployment was taken back`
    remember(state, { requestId: served.requestId, status: 'undone', deploymentId: served.deploymentId, reason, at: now })
  }
}

/**
 * The release a person means: a number, a digest or an id of the history that is not blocked; without one, the newest kept
 * one older than the current.
 */
export function findRollbackRelease(
  state: Pick<EnvironmentState, 'history' | 'current' | 'blocked'>,
  { to }: Pick<RollbackRequest, 'to'>,
): ReleaseRef | undefined {
  const { current } = state
  const candidates = state.history.filter(({ release }) => !isBlocked(state, release))
  // Numbers count within a project, and several may share the environment.
  const isOurs = ({ project }: ReleaseRef): boolean => current === undefined || project === current.release.project
  if (to === undefined) {
    const isOlder = (number: number): boolean => current === undefined || number < current.release.number
    return candidates.findLast(({ status, release }) => status === 'kept' && isOurs(release) && isOlder(release.number))?.release
  }
  const number = to.replace(/^#/, '')
  const isMeant = (release: ReleaseRef): boolean =>
    (String(release.number) === number && isOurs(release)) || release.image.digest === to || release.id === to
  return candidates.map(({ release }) => release).findLast(isMeant)
}

/** A rollback goes before everything queued, and interrupts what is only watched; a person's deployment does neither. */
export function isWayBack(request: RollbackRequest): boolean {
  return request.release === undefined
}

type Urgent = { type: 'undo' } | { type: 'rollback'; request: RollbackRequest }

/** What goes before the run's deployment that is under way: the undo of that very request, or a person's rollback. */
export function findUrgent({ active, undos, rollbacks }: EnvironmentState): Urgent | undefined {
  if (active?.kind !== 'deploy') return undefined
  if (undos.includes(active.requestId)) return { type: 'undo' }
  const request = rollbacks.find(isWayBack)
  return request === undefined ? undefined : { type: 'rollback', request }
}

/** Undo, a person's rollback and what a person forces do not wait for the end of a freeze. */
function isExempt(request: RollbackRequest): boolean {
  return isWayBack(request) || request.force === true
}

/** Asked before, carried out or not. */
export function isKnownPerson(state: EnvironmentState, id: string, now: number): boolean {
  return findAnswer(state, id, now) !== undefined || state.rollbacks.some((waiting) => waiting.id === id)
}

/**
 * A person asks: queued, unless it is known already. Undefined: there is no such release, or it is blocked. `pin`: what the request is
 * held to, whatever is served until its turn comes.
 */
export function receivePerson(
  state: EnvironmentState,
  request: RollbackRequest,
  now: number,
  pin: (release: ReleaseRef) => string = ({ id: releaseId }) => releaseId,
): ReleaseRef | undefined {
  const { id } = request
  const known = isKnownPerson(state, id, now)
  const release = (known ? findAskedFor(state, id) : undefined) ?? findWanted(state, request)
  if (release === undefined || known) return release
  const behind = isWayBack(request) ? {} : { behind: state.queue.map((queued) => queued.id) }
  state.rollbacks.push({ ...request, to: pin(release), ...behind })
  return release
}

/** What the request of that id was about, as far as we remember: the same id with another release gets the first one's answer. */
function findAskedFor({ rollbacks, active, history }: EnvironmentState, id: string): ReleaseRef | undefined {
  const waiting = rollbacks.find((request) => request.id === id)
  if (waiting !== undefined)
    return (
      waiting.release ??
      history.findLast(({ release: { id: releaseId, image } }) => [releaseId, image.digest].includes(waiting.to ?? ''))?.release
    )
  return active?.requestId === id ? active.release : history.findLast(({ requestId }) => requestId === id)?.release
}

/** A change of windows or blocks that was carried out before. */
export function findChange({ changes = [] }: EnvironmentState, id: string): Change | undefined {
  return changes.find((change) => change.id === id)
}

export function noteChange(state: EnvironmentState, change: Change): void {
  state.changes = [...(state.changes ?? []), change].slice(-environmentMemory)
}

/** The release that a person means; undefined: there is none, or it is blocked. */
export function findWanted(state: EnvironmentState, request: RollbackRequest): ReleaseRef | undefined {
  const { release } = request
  if (release === undefined) return findRollbackRelease(state, request)
  return isBlocked(state, release) ? undefined : release
}

/** A release is served from now on, provisionally or for good. */
export function noteServed(state: EnvironmentState, served: Served): void {
  const history = [...state.history, served]
  const kept = newestKept({ history, blocked: state.blocked }) ?? newestSettled({ history })
  const newest = history.slice(-environmentMemory)
  // However many bad ones came since: what we would go back to is never forgotten.
  state.history = kept === undefined || newest.includes(kept) ? newest : [kept, ...newest.slice(1)]
  state.current = { release: served.release, deploymentId: served.deploymentId }
}

export type EnvironmentJob =
  | { type: 'undo'; requestId: string }
  | { type: 'rollback'; request: RollbackRequest }
  | { type: 'deploy'; request: DeployRequest }

/** Undo and a person's rollback go before all queued deployments, a person's deployment in its turn. Takes the job out of the state. */
export function takeJob(state: EnvironmentState): EnvironmentJob | undefined {
  const undo = state.undos.shift()
  if (undo !== undefined) return { type: 'undo', requestId: undo }
  const person = takePerson(state)
  if (person !== undefined) return { type: 'rollback', request: person }
  if (state.held !== undefined) return undefined
  const request = state.queue.shift()
  return request === undefined ? undefined : { type: 'deploy', request }
}

function takePerson({ rollbacks, queue, held }: EnvironmentState): RollbackRequest | undefined {
  const back = rollbacks.findIndex(isWayBack)
  if (back >= 0) return rollbacks.splice(back, 1)[0]
  // What it came behind waits itself.
  if (held !== undefined) {
    const forced = rollbacks.findIndex(isExempt)
    return forced < 0 ? undefined : rollbacks.splice(forced, 1)[0]
  }
  const before = new Set(rollbacks[0]?.behind)
  return queue.some(({ id }) => before.has(id)) ? undefined : rollbacks.shift()
}

/** Anything that may be done now. */
export function hasJob(state: EnvironmentState): boolean {
  if (hasWayBack(state) || state.rollbacks.some(isExempt)) return true
  return state.held === undefined && (state.rollbacks.length > 0 || state.queue.length > 0)
}

/** It is what is done next, whether the environment is frozen or not. */
export function hasWayBack(state: EnvironmentState): boolean {
  return state.undos.length > 0 || state.rollbacks.some(isWayBack)
}
