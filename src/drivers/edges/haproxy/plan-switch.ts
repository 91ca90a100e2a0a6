/** Who has which slot, and what a switch makes of it. */
import type { EdgeRecord, SlotOwner } from './edge-record.ts'
import type { SlotState } from './parse-slots.ts'
import { sameAddress, type Resolved } from './resolve-upstreams.ts'
import { switchCommand } from './runtime-commands.ts'
import { chooseSlots } from './slots.ts'

type Owners = EdgeRecord['slots']

/** Traffic goes to exactly these. */
export function servesRoute(states: readonly SlotState[], owners: Owners, route: readonly Resolved[]): boolean {
  const active = states.filter((state) => state.active)
  const isThere = ({ upstream, address }: Resolved): boolean =>
    active.some(
      (state) =>
        owners[state.slot]?.upstream.id === upstream.id && state.port === upstream.port && sameAddress(state.address, address),
    )
  return active.length === route.length && route.every(isThere)
}

/** Of a slot that was given away while busy, all is said to be each one's: a drain then waits too long rather than too short. */
export function countInFlight(states: readonly SlotState[], owners: Owners, id: string): number {
  const its = states.filter(({ slot }) => owners[slot]?.upstream.id === id || owners[slot]?.former.includes(id) === true)
  return its.reduce((sum, { inFlight }) => sum + inFlight, 0)
}

export interface Switch {
  /** For the runtime socket. */
  command: string
  /** The slots that it gives to new owners, to be written down before it is said. */
  assigned: (Omit<SlotOwner, 'usedAt'> & { slot: string })[]
}

export function planSwitch(states: readonly SlotState[], owners: Owners, route: readonly Resolved[]): Switch {
  const names = chooseSlots(
    states.map(({ slot, active, inFlight }) => ({ slot, active, inFlight, usedAt: owners[slot]?.usedAt ?? 0 })),
    route.length,
  )
  const assigned = route.map(({ upstream, address }, index) => {
    const slot = names[index] ?? ''
    const before = owners[slot]
    const busy = states.some((state) => state.slot === slot && state.inFlight > 0)
    return { slot, upstream, address, former: before === undefined || !busy ? [] : [before.upstream.id, ...before.former] }
  })
  const ready = assigned.map(({ slot, address, upstream: { port } }) => ({ slot, address, port }))
  const draining = states.filter(({ active }) => active).map(({ slot }) => slot)
  return { command: switchCommand(ready, draining), assigned }
}
