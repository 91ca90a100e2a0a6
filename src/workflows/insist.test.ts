import { ActivityFailure, ApplicationFailure, RetryState, TimeoutFailure, TimeoutType } from '@temporalio/common'
import { expect, it } from 'vitest'
import { usedItsTime } from './failure.ts'
import { createPatience } from './insist.ts'

const minute = 60_000

/** The tries until it gives up, and the time that they and the waits between took. */
function countTries(tryMs: number): { tries: number; tookMs: number } {
  const patience = createPatience()
  let tookMs = 0
  for (let tries = 1; ; tries++) {
    tookMs += tryMs
    const waitMs = patience.unreached(tryMs)
    if (waitMs === undefined) return { tries, tookMs }
    tookMs += waitMs
  }
}

it('insists for half an hour on what cannot be reached, and says no sooner', () => {
  const { tries, tookMs } = countTries(0)
  expect(tries).toBeGreaterThan(30)
  expect(tookMs).toBeGreaterThanOrEqual(29 * minute)
  expect(tookMs).toBeLessThanOrEqual(30 * minute)
})

it('counts the time of the tries as well', () => {
  expect(countTries(15 * minute)).toEqual({ tries: 2, tookMs: 30 * minute + 1_000 })
  expect(countTries(5 * minute).tookMs).toBeLessThanOrEqual(35 * minute)
})

it('takes no for an answer the fifth time, or as often as it is told', () => {
  const five = createPatience()
  expect(Array.from({ length: 5 }, five.refused)).toEqual([1_000, 2_000, 4_000, 8_000, undefined])
  expect(createPatience(1).refused()).toBeUndefined()
})

it('knows the time of a try only if that was cut off at its limit: any other may have waited for a worker', () => {
  const failed = (cause: Error) =>
    new ActivityFailure('failed', 'stage', '1', RetryState.MAXIMUM_ATTEMPTS_REACHED, 'worker', cause)
  const timedOut = (type: TimeoutType) => failed(new TimeoutFailure('late', undefined, type))
  expect(usedItsTime(timedOut(TimeoutType.START_TO_CLOSE))).toBe(true)
  expect([TimeoutType.HEARTBEAT, TimeoutType.SCHEDULE_TO_START].map((type) => usedItsTime(timedOut(type)))).toEqual([
    false,
    false,
  ])
  expect(usedItsTime(failed(ApplicationFailure.retryable('refused', 'unavailable')))).toBe(false)
})
