import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { createHoldClock } from './time-limit.ts'

beforeEach(() => {
  vi.useFakeTimers({ now: 1_000 })
})
afterEach(() => {
  vi.useRealTimers()
})

const pass = (ms: number): void => void vi.setSystemTime(Date.now() + ms)

it('the time of what is held is counted once, however many hold it, until the last is gone', () => {
  const clock = createHoldClock()
  pass(10)
  expect([clock.isHeld(), clock.heldMs()]).toEqual([false, 0])
  clock.set('a', true)
  pass(10)
  clock.set('a', true)
  clock.set('b', true)
  pass(10)
  clock.set('a', false)
  pass(10)
  expect([clock.isHeld(), clock.heldMs()]).toEqual([true, 30])
  clock.set('b', false)
  clock.set('b', false)
  pass(10)
  expect([clock.isHeld(), clock.heldMs()]).toEqual([false, 30])
  clock.set('b', true)
  pass(5)
  expect(clock.heldMs()).toBe(35)
})
