import { expect, it } from 'vitest'
import { repeatAfterMs } from './answers.ts'

/** What one round adds to the run's history, as recorded in test/replay. */
const eventsOfRound = 15
const mostEvents = 3_000
const day = 86_400_000

it('says it again soon at first, and rarely later', () => {
  expect([0, 60_000, 600_000, 3_600_000, day].map(repeatAfterMs)).toEqual([30_000, 30_000, 120_000, 720_000, 17_280_000])
})

it('a wait of a month makes a history that is replayed in a few seconds', () => {
  let rounds = 0
  for (let waited = 0; waited < 30 * day; waited += repeatAfterMs(waited)) rounds += 1
  expect(rounds * eventsOfRound).toBeLessThan(mostEvents)
  expect(rounds).toBeGreaterThan(30 * 4)
})
