/**
 * What an environment answers and does next: pure functions on its state. The workflow `environment/<name>` is the only
 * one that calls them; they change the state they are given.
 */
import {
  environmentMemory,
  type Answer,
  type DeployRequest,
  type EnvironmentState,
  type RollbackRequest,
  type Served,
} from './environment.ts'
import type { ReleaseRef } from './release.ts'

export function emptyEnvironment(name: string, fence: number): EnvironmentState {
  return { name, fence, revision: 0, history: [], queue: [], rollbacks: [], undos: [], answers: [], newest: {} }
}

/** What has become of a request, as far as we know it. */
export function findAnswer(state: EnvironmentState, requestId: string, now: number): Answer | undefined {
  if (state.queue.some(({ id }) => id === requestId)) return { requestId, status: 'queued', at: now }
  if (state.active?.requestId === requestId) return { requestId, status: 'running', deploymentId: state.active.id, at: now }
  return state.answers.find((answer) => answer.requestId === requestId)
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
  state.queue.push(request)
  return { requestId: request.id, status: 'queued', at: now }
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

/** The deployment that takes a request back has an id of its own. */
export function undoRequestId(requestId: string): string {
  return `${requestId}/undo`
}

/**
 * The run failed or was cancelled: forget a queued request, take back one that is under way or serving. Undefined: that
 * takes a while; the answer comes when it is done.
 */
export function receiveUndo(state: EnvironmentState, requestId: string, now: number): Answer | undefined {
  const queued = state.queue.findIndex(({ id }) => id === requestId)
  if (queued >= 0) {
    state.queue.splice(queued, 1)
    return remember(state, { requestId, status: 'withdrawn', at: now })
  }
  // Its way back is under way: that job answers.
  if (state.active?.requestId === undoRequestId(requestId)) return undefined
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
  if (known === undefined) return remember(state, { requestId, status: 'withdrawn', at: now })
  if (known.status === 'failed' || known.status === 'deployed') {
    return remember(state, { ...known, status: 'undone', at: now })
  }
  return known
}

function findServed(state: EnvironmentState, requestId: string): Served | undefined {
  return state.history.findLast((served) => served.requestId === requestId)
}

/** Going back means the newest release that is kept and not blocked, never merely the one before. */
export function newestKept(state: Pick<EnvironmentState, 'history'>): Served | undefined {
  const blocked = blockedReleases(state)
  return state.history.findLast((served) => served.status === 'kept' && !blocked.has(served.release.id))
}

/** A release that was blocked once does not come again, whatever its other entries say. */
function blockedReleases({ history }: Pick<EnvironmentState, 'history'>): Set<string> {
  return new Set(history.filter(({ status }) => status === 'blocked').map(({ release }) => release.id))
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
  state: Pick<EnvironmentState, 'history' | 'current'>,
  { to }: Pick<RollbackRequest, 'to'>,
): ReleaseRef | undefined {
  const { current } = state
  const blocked = blockedReleases(state)
  const candidates = state.history.filter(({ release }) => !blocked.has(release.id))
  if (to === undefined) {
    const older = (number: number): boolean => current === undefined || number < current.release.number
    return candidates.findLast(({ status, release }) => status === 'kept' && older(release.number))?.release
  }
  const number = to.replace(/^#/, '')
  return candidates
    .map(({ release }) => release)
    .findLast((release) => String(release.number) === number || release.image.digest === to || release.id === to)
}

/** A rollback goes before everything queued, and interrupts what is only watched; a person's deployment does neither. */
export function isWayBack(request: RollbackRequest): boolean {
  return request.release === undefined
}

/** A person asks: queued, unless it is known already. Undefined: there is no such release, or it is blocked. */
export function receivePerson(state: EnvironmentState, request: RollbackRequest, now: number): ReleaseRef | undefined {
  const release = findWanted(state, request)
  if (release === undefined) return undefined
  const { id } = request
  const known = findAnswer(state, id, now) !== undefined || state.rollbacks.some((waiting) => waiting.id === id)
  if (known) return release
  const behind = isWayBack(request) ? {} : { behind: state.queue.map((queued) => queued.id) }
  state.rollbacks.push({ ...request, to: release.image.digest, ...behind })
  return release
}

function findWanted(state: EnvironmentState, request: RollbackRequest): ReleaseRef | undefined {
  const { release } = request
  if (release === undefined) return findRollbackRelease(state, request)
  return blockedReleases(state).has(release.id) ? undefined : release
}

/** A release is served from now on, provisionally or for good. */
export function noteServed(state: EnvironmentState, served: Served): void {
  const history = [...state.history, served]
  const kept = newestKept({ history })
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
  const request = state.queue.shift()
  return request === undefined ? undefined : { type: 'deploy', request }
}

function takePerson({ rollbacks, queue }: EnvironmentState): RollbackRequest | undefined {
  const back = rollbacks.findIndex(isWayBack)
  if (back >= 0) return rollbacks.splice(back, 1)[0]
  const before = new Set(rollbacks[0]?.behind)
  return queue.some(({ id }) => before.has(id)) ? undefined : rollbacks.shift()
}

export function hasJob(state: EnvironmentState): boolean {
  return state.undos.length > 0 || state.rollbacks.length > 0 || state.queue.length > 0
}
