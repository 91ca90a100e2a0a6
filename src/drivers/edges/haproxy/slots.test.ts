import { expect, it } from 'vitest'
import { chooseSlots, slotNames, type SlotUse } from './slots.ts'

const idle = { active: false, inFlight: 0, usedAt: 0 }
const uses = (known: Record<string, Partial<SlotUse>>): SlotUse[] => slotNames.map((slot) => ({ slot, ...idle, ...known[slot] }))

it('has sixteen places of each colour', () => {
  expect(slotNames).toHaveLength(32)
  expect([slotNames[0], slotNames[15], slotNames[16], slotNames[31]]).toEqual(['blue1', 'blue16', 'green1', 'green16'])
})

it('takes the first blue ones when nothing serves', () => {
  expect(chooseSlots(uses({}), 3)).toEqual(['blue1', 'blue2', 'blue3'])
})

it('takes the other colour than what serves', () => {
  expect(chooseSlots(uses({ blue4: { active: true, usedAt: 1 } }), 2)).toEqual(['green1', 'green2'])
  expect(chooseSlots(uses({ green1: { active: true, usedAt: 1 } }), 1)).toEqual(['blue1'])
})

it('prefers those that were left longest ago, and of all those with nothing under way', () => {
  const all = uses({ blue1: { active: true, usedAt: 9 } }).map((use, index) =>
    use.slot.startsWith('green') ? { ...use, usedAt: 100 - index } : use,
  )
  expect(chooseSlots(all, 1)).toEqual(['green16'])
  expect(
    chooseSlots(
      all.map((use) => (use.slot === 'green16' ? { ...use, inFlight: 1 } : use)),
      1,
    ),
  ).toEqual(['green15'])
})

it('gives away a busy one rather than none', () => {
  expect(chooseSlots(uses(Object.fromEntries(slotNames.map((slot) => [slot, { inFlight: 1 }]))), 16)).toHaveLength(16)
})
