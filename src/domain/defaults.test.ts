import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { defaults } from './defaults.ts'
import { addUp, sweepKinds, whySwept } from './keep.ts'

const operations = readFileSync(join(import.meta.dirname, '../../docs/operations.md'), 'utf8')
const day = 86_400_000

describe('what is kept by default', () => {
  it.each([
    ['logs', defaults.keep.logsMs, 90],
    ['runs', defaults.keep.runsMs, 365],
    ['artifacts', defaults.keep.artifactsMs, 30],
    ['deliveries', defaults.keep.deliveriesMs, 90],
    ['delivered rows', defaults.deliveredRowsMs, 7],
  ])('%s: as the page says', (name, ms, days) => {
    expect(ms).toBe(days * day)
    expect(operations).toMatch(new RegExp(`\\| ${name} +\\| +${String(days)} days`))
  })

  it('a log holds 100 MB, a run waits under 1 GB or 5 % of free disk', () => {
    expect(defaults.logBytes).toBe(100 * 1024 ** 2)
    expect(defaults.disk.low).toEqual({ bytes: 1024 ** 3, share: 0.05 })
    expect(operations).toContain('100 MB')
    expect(operations).toContain('1 GB or 5 %')
  })

  it('there is room to spare before what waited begins again', () => {
    expect(defaults.disk.enough.bytes).toBeGreaterThan(defaults.disk.low.bytes)
    expect(defaults.disk.enough.share).toBeGreaterThan(defaults.disk.low.share)
  })
})

it('a pull of an image says itself that it took too long, before its phase is over', () => {
  expect(defaults.deployment.pullMs).toBeLessThan(defaults.deployment.phaseMs)
})

it('whatever goes, there is a reason in words', () => {
  for (const kind of sweepKinds) expect(whySwept(kind, defaults.keep)).toMatch(/^\S.*\S$/)
})

it('what went is added up by kind, in the order of a clean-up', () => {
  expect(
    addUp([
      { kind: 'runs', count: 1, bytes: 0 },
      { kind: 'logs', count: 2, bytes: 3 },
      { kind: 'runs', count: 4, bytes: 0 },
      { kind: 'blobs', count: 0, bytes: 0 },
    ]),
  ).toEqual([
    { kind: 'logs', count: 2, bytes: 3 },
    { kind: 'runs', count: 5, bytes: 0 },
  ])
})
