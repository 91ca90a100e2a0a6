/**
 * The places for upstreams that HAProxy is started with, in two colours: a switch fills idle ones of the other colour, so what is
 * under way on the first is counted apart until it has ended.
 */
export const colours = ['blue', 'green'] as const
export type Colour = (typeof colours)[number]
/** Of each colour, and so the most upstreams that a route may have. */
export const slotsPerColour = 16

export const slotNames: readonly string[] = colours.flatMap((colour) =>
  Array.from({ length: slotsPerColour }, (_, index) => `${colour}${String(index + 1)}`),
)

export function isSlot(name: string): boolean {
  return slotNames.includes(name)
}

export interface SlotUse {
  slot: string
  /** Traffic goes there now. */
  active: boolean
  /** Requests under way there. */
  inFlight: number
  /** The number of the switch that used it last; 0: never. */
  usedAt: number
}

/**
 * Idle slots of the colour that does not serve: those with nothing under way first, then those that were left longest ago, so a
 * slot is seldom given away while a request of its former upstream is still on its way.
 */
export function chooseSlots(uses: readonly SlotUse[], count: number): string[] {
  const serving = uses.find(({ active }) => active)
  const colour: Colour = serving?.slot.startsWith('blue') === true ? 'green' : 'blue'
  return uses
    .filter(({ slot, active }) => slot.startsWith(colour) && !active)
    .toSorted((a, b) => Math.sign(a.inFlight) - Math.sign(b.inFlight) || a.usedAt - b.usedAt)
    .slice(0, count)
    .map(({ slot }) => slot)
}
