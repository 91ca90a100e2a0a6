import { expect, it } from 'vitest'
import { askAgainMs } from './ask-after-runner.ts'

/** What one round adds to the run's history, as recorded in test/replay: the answer, two of the timer, three of its task. */
const eventsOfRound = 6
const mostEvents = 51_200
const hour = 3_600_000
const day = 24 * hour

it('asks every second at first, and rarely later', () => {
  expect([0, 10_000, 20_000, 60_000, hour, 2 * hour, day].map(askAgainMs)).toEqual([
    ...[1_000, 1_000, 1_000, 3_000, 180_000, 300_000, 300_000],
  ])
})

it('a wait of three weeks leaves room in the history', () => {
  let rounds = 0
  for (let waited = 0; waited < 21 * day; waited += askAgainMs(waited)) rounds += 1
  expect(rounds * eventsOfRound).toBeLessThan(mostEvents)
  expect(rounds).toBeGreaterThan(21 * 24 * 12)
})
