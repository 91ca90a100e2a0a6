/** Releases that may not come (again) to an environment. */
import type { Answer, DeployRequest, EnvironmentState } from './environment.ts'
import { blockLimit, type BlockedRelease } from './freeze.ts'
import { BelayError } from './errors.ts'
import type { ReleaseRef } from './release.ts'

type Blocks = Pick<EnvironmentState, 'history' | 'blocked'>

/** By release, or by image: the same bytes under another number are no better. */
export function findBlock({ blocked = [] }: Pick<Blocks, 'blocked'>, release: ReleaseRef): BlockedRelease | undefined {
  return (
    blocked.find((block) => block.release.id === release.id) ??
    blocked.find((block) => block.release.image.digest === release.image.digest)
  )
}

export function isBlocked(state: Blocks, release: ReleaseRef): boolean {
  if (findBlock(state, release) !== undefined) return true
  return state.history.some((served) => served.status === 'blocked' && served.release.id === release.id)
}

/** In words; undefined: it is not blocked. */
export function whyBlocked(state: Blocks & Pick<EnvironmentState, 'name'>, release: ReleaseRef): string | undefined {
  const block = findBlock(state, release)
  const says = `release ${String(release.number)} is blocked in ${state.name}`
  if (block === undefined) return isBlocked(state, release) ? says : undefined
  const other = block.release.id === release.id ? '' : `: it is the image of release ${String(block.release.number)}, blocked`
  return `${says}${other} by ${block.actor.name}${block.reason === undefined ? '' : `: ${block.reason}`}`
}

/** Twice is once: the first one's actor and reason stay. */
export function addBlock(state: EnvironmentState, block: BlockedRelease): void {
  const { blocked = [] } = state
  if (blocked.some(({ release }) => release.id === block.release.id)) return
  if (blocked.length >= blockLimit) {
    throw new BelayError({
      code: 'refused',
      message: `${state.name} has ${String(blockLimit)} blocked releases already`,
      hint: '`belay unblock` those that nobody can deploy any more.',
    })
  }
  state.blocked = [...blocked, block]
}

/** False: it was not blocked. */
export function removeBlock(state: EnvironmentState, releaseId: string): boolean {
  const { blocked = [] } = state
  const others = blocked.filter(({ release }) => release.id !== releaseId)
  if (others.length > 0) state.blocked = others
  else delete state.blocked
  return others.length < blocked.length
}

/** A blocked release is no good here, whatever its run thinks of it. */
export function blockedAnswer(state: EnvironmentState, request: DeployRequest, now: number): Answer | undefined {
  const reason = whyBlocked(state, request.release)
  return reason === undefined ? undefined : { requestId: request.id, status: 'failed', fault: 'failed', reason, at: now }
}
