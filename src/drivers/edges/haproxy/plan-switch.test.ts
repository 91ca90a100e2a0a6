import { expect, it } from 'vitest'
import type { SlotState } from './parse-slots.ts'
import { countInFlight, planSwitch, servesRoute } from './plan-switch.ts'
import { slotNames } from './slots.ts'

const upstream = (id: string, port = 80) => ({ id, digest: 'sha256:a', host: 'app.internal', port })
const resolved = (id: string, address = '10.0.0.1') => ({ upstream: upstream(id), address })
const owner = (id: string, former: string[] = []) => ({ upstream: upstream(id), address: '10.0.0.1', usedAt: 1, former })
const states = (known: Record<string, Partial<SlotState>>): SlotState[] =>
  slotNames.map((slot) => ({
    ...{ slot, active: false, address: '10.0.0.1', port: 80, inFlight: 0, requests: 0, errors: 0 },
    ...known[slot],
  }))

it('gives the new ones places of the other colour, and takes traffic off all that had it', () => {
  const now = states({ blue1: { active: true }, blue2: { active: true } })
  const { command, assigned } = planSwitch(now, { blue1: owner('a1'), blue2: owner('a2') }, [resolved('b1', '10.0.0.9')])
  expect(assigned).toEqual([{ slot: 'green1', upstream: upstream('b1'), address: '10.0.0.9', former: [] }])
  expect(command).toBe(
    'set server app/green1 addr 10.0.0.9 port 80;set server app/green1 state ready;' +
      'set server app/blue1 state drain;set server app/blue2 state drain',
  )
})

it('remembers whose requests are still under way in a place that it gives away', () => {
  const now = states(Object.fromEntries(slotNames.map((slot) => [slot, { inFlight: 2 }])))
  const { assigned } = planSwitch(now, { blue1: owner('a', ['z']) }, [resolved('b')])
  // Never used ones go first, so the owned one is not among them.
  expect(assigned).toMatchObject([{ slot: 'blue2', former: [] }])
  const all = Object.fromEntries(slotNames.map((slot) => [slot, owner('a', ['z'])]))
  expect(planSwitch(now, all, [resolved('b')]).assigned).toMatchObject([{ slot: 'blue1', former: ['a', 'z'] }])
})

it('counts what is under way for whoever has the place or had it', () => {
  const now = states({ blue1: { inFlight: 2 }, green1: { inFlight: 1 } })
  const owners = { blue1: owner('b', ['a']), green1: owner('a') }
  expect([countInFlight(now, owners, 'a'), countInFlight(now, owners, 'b'), countInFlight(now, owners, 'c')]).toEqual([3, 2, 0])
})

it.each([
  { what: 'exactly these', known: { blue1: { active: true } }, serves: true },
  { what: 'nobody', known: {}, serves: false },
  { what: 'another one as well', known: { blue1: { active: true }, blue2: { active: true } }, serves: false },
  { what: 'another port', known: { blue1: { active: true, port: 81 } }, serves: false },
  { what: 'another address', known: { blue1: { active: true, address: '10.0.0.2' } }, serves: false },
  { what: 'a place of another one', known: { green1: { active: true } }, serves: false },
])('knows whether traffic goes where it should: $what', ({ known, serves }) => {
  expect(servesRoute(states(known), { blue1: owner('a'), green1: owner('b') }, [resolved('a')])).toBe(serves)
})

it('knows an IPv6 address in any spelling', () => {
  const now = states({ blue1: { active: true, address: '2001:db8::1' } })
  expect(servesRoute(now, { blue1: owner('a') }, [resolved('a', '2001:0DB8:0:0::1')])).toBe(true)
})
