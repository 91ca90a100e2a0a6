import { condition } from '@temporalio/workflow'
import type { EnvironmentState } from '../domain/environment.ts'
import * as rules from '../domain/environment-rules.ts'
import type { Freeze, Held } from '../domain/freeze.ts'
import { inline } from './activities.ts'
import { reasonOf } from './failure.ts'

/** What freeze windows mean for the queue. Without a window nothing of this asks for anything. */
export interface Freezing {
  /** Resolves when there is something to do, or when what is held has to be looked at again. */
  wait(ready: () => boolean): Promise<void>
  /** Is there, or was there, a window? */
  concerns(): boolean
  /** Notes in the state whether what is queued is held. */
  settle(): Promise<void>
  /** Is a window on now, and which? */
  find(): Promise<Held | undefined>
}

/** A window further off is looked at each day: clocks and time zones change. */
const lookAgainMs = 24 * 3_600_000

/** `changed`: runs are to be told why they wait. */
export function createFreezing(state: EnvironmentState, changed: () => void): Freezing {
  let told = state.held?.reason

  async function find(): Promise<Held | undefined> {
    for (;;) {
      const { freezes } = state
      if (freezes === undefined) return undefined
      const held = await look(freezes)
      // Changed meanwhile: that was about others.
      if (state.freezes === freezes) return held
    }
  }

  async function look(freezes: Freeze[]): Promise<Held | undefined> {
    const at = Date.now()
    try {
      return (await inline.findFreeze({ freezes, at })).held
    } catch (error) {
      // Rather kept waiting than deployed into a freeze; a person can lift the window, or force.
      return { until: at + 60_000, reason: `frozen as far as we know: a window could not be reckoned (${reasonOf(error)})` }
    }
  }

  return {
    find,
    async wait(ready) {
      const { held } = state
      if (held === undefined) await condition(ready)
      else {
        const limitMs = Math.max(1, Math.min(held.until - Date.now(), lookAgainMs))
        await condition(() => ready() || state.held === undefined, limitMs)
      }
    },
    concerns: () => state.freezes !== undefined || state.held !== undefined || told !== undefined,
    async settle() {
      // That goes first, and is not kept waiting for an answer about the others.
      if (rules.hasWayBack(state)) return
      const held = state.queue.length === 0 && state.rollbacks.length === 0 ? undefined : await find()
      if (held === undefined) delete state.held
      else state.held = held
      if (held?.reason === told) return
      told = held?.reason
      changed()
    },
  }
}
