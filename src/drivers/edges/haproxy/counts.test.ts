import { expect, it } from 'vitest'
import { createCounts } from './counts.ts'
import type { SlotState } from './parse-slots.ts'

const at = (slot: string, requests: number, errors = 0): SlotState => ({
  ...{ slot, requests, errors },
  ...{ active: true, address: '127.0.0.1', port: 80, inFlight: 0 },
})
const a = (): string => 'a'

it('adds what was counted since the last look to whoever has the slot', () => {
  const counts = createCounts({ a: { requests: 10, errors: 1 } })
  counts.add([at('blue1', 5, 1), at('green1', 2)], (slot) => (slot === 'blue1' ? 'a' : 'b'))
  counts.add([at('blue1', 7, 1), at('green1', 2)], (slot) => (slot === 'blue1' ? 'a' : 'b'))
  expect(counts.totals()).toEqual({ a: { requests: 17, errors: 2 }, b: { requests: 2, errors: 0 } })
})

it('does not add what a slot counted before it was given to another release', () => {
  const counts = createCounts({})
  counts.add([at('blue1', 5)], a)
  counts.add([at('blue1', 6)], () => 'b')
  expect(counts.totals()).toEqual({ a: { requests: 5, errors: 0 }, b: { requests: 1, errors: 0 } })
})

it('goes on over a start of HAProxy, whose counters begin at zero', () => {
  const counts = createCounts({})
  counts.add([at('blue1', 5)], a)
  counts.beginAgain()
  counts.add([at('blue1', 2)], a)
  expect(counts.totals()).toEqual({ a: { requests: 7, errors: 0 } })
})

it('goes on from what was saved: HAProxy counted while nobody looked', () => {
  const before = createCounts({})
  before.add([at('blue1', 5)], a)
  const counts = createCounts({ a: { requests: 99, errors: 99 } }, before.save())
  counts.add([at('blue1', 9)], a)
  expect(counts.totals()).toEqual({ a: { requests: 9, errors: 0 } })
})

it('a reset leaves out what was counted before and not looked at yet', () => {
  const counts = createCounts({})
  counts.add([at('blue1', 5)], a)
  counts.reset('a')
  counts.add([at('blue1', 8)], a)
  expect(counts.totals()).toEqual({ a: { requests: 0, errors: 0 } })
  counts.add([at('blue1', 9)], a)
  expect(counts.totals()).toEqual({ a: { requests: 1, errors: 0 } })
})

it('a try that is taken back is no request', () => {
  const counts = createCounts({})
  counts.add([at('blue1', 1)], a)
  counts.add([at('blue1', 0)], a)
  expect(counts.totals()).toEqual({ a: { requests: 0, errors: 0 } })
})
