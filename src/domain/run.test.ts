import { expect, it } from 'vitest'
import { decideEnd, type EndFacts } from './run.ts'

const none: EndFacts = { undoFailed: false, cancelled: false, undoRan: false, errored: false, failed: false, matched: true }

it.each([
  ['succeeded', {}],
  ['skipped', { matched: false }],
  ['failed', { failed: true }],
  ['errored', { failed: true, errored: true }],
  ['rolled_back', { failed: true, errored: true, undoRan: true }],
  ['cancelled', { failed: true, undoRan: true, cancelled: true }],
  ['rollback_failed', { failed: true, undoRan: true, cancelled: true, undoFailed: true }],
] as const)('a run ends %s by the worst of its facts', (end, facts) => {
  expect(decideEnd({ ...none, ...facts })).toBe(end)
})
