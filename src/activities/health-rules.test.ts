import { expect, it } from 'vitest'
import { tighten } from './health-rules.ts'

const base = { http: '/healthz', intervalMs: 1000, healthyAfter: 2, unhealthyAfter: 3, timeoutMs: 30_000 }

it('takes what is stricter', () => {
  const more = { http: '/ready', intervalMs: 500, healthyAfter: 5, unhealthyAfter: 1, timeoutMs: 10_000 }
  expect(tighten(base, more)).toEqual(more)
})

it('ignores what is laxer', () => {
  expect(tighten(base, { intervalMs: 5000, healthyAfter: 1, unhealthyAfter: 9, timeoutMs: 90_000 })).toEqual(base)
})

it('nothing said changes nothing', () => {
  expect(tighten(base, {})).toEqual(base)
})
