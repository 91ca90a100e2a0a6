/** An environment's freeze windows. When one is on is reckoned elsewhere, in `freeze-times.ts`. */
import { findAnswer, remember } from './environment-rules.ts'
import type { EnvironmentState } from './environment.ts'
import { BelayError } from './errors.ts'
import { freezeLimit, type Freeze } from './freeze.ts'

/** Twice is once, also when it was lifted between. Whether anything is held has to be looked at again. */
export function addFreeze(state: EnvironmentState, freeze: Freeze, now: number): Freeze {
  const left = (state.freezes ?? []).filter(({ times }) => times.type !== 'once' || times.until > now)
  const known = left.find(({ id }) => id === freeze.id)
  if (known !== undefined) return known
  if (findAnswer(state, freeze.id, now) !== undefined) return freeze
  if (left.length >= freezeLimit) {
    throw new BelayError({
      code: 'refused',
      message: `${state.name} has ${String(freezeLimit)} freeze windows already`,
      hint: 'Lift those that are not needed any more with `belay unfreeze`.',
    })
  }
  state.freezes = [...left, freeze]
  delete state.held
  return freeze
}

/** Throws `not_found`, or `conflict` if none is named and there are several. */
export function removeFreeze(state: EnvironmentState, id: string | undefined, now: number): Freeze {
  const { freezes = [] } = state
  const [first, ...more] = id === undefined ? freezes : freezes.filter((freeze) => freeze.id === id)
  if (first === undefined) {
    throw new BelayError({
      code: 'not_found',
      message:
        id === undefined ? `${state.name} has no freeze window` : `${state.name} has no freeze window ${JSON.stringify(id)}`,
      hint: freezes.length === 0 ? 'It has none.' : `It has ${list(freezes)}.`,
    })
  }
  if (more.length > 0) {
    throw new BelayError({
      code: 'conflict',
      message: `${state.name} has several freeze windows: which one?`,
      hint: `Name one of ${list(freezes)}.`,
    })
  }
  const others = freezes.filter((freeze) => freeze !== first)
  if (others.length > 0) state.freezes = others
  else delete state.freezes
  delete state.held
  // A late repeat of the request that made it does not bring it back.
  remember(state, { requestId: first.id, status: 'withdrawn', reason: 'lifted', at: now })
  return first
}

function list(freezes: readonly Freeze[]): string {
  return freezes.map(({ id }) => id).join(', ')
}
