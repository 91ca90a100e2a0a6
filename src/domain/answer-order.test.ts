import { expect, it } from 'vitest'
import { outweighs } from './answer-order.ts'
import type { Answer } from './environment.ts'

const said = (status: Answer['status'], at: number) => ({ status, at })

it.each<[string, ReturnType<typeof said>, ReturnType<typeof said>, boolean]>([
  ['running after queued', said('running', 2), said('queued', 1), true],
  ['queued that was said before running', said('queued', 1), said('running', 2), false],
  ['an end after running', said('failed', 2), said('running', 1), true],
  ['an end that is older than what was said on the way', said('failed', 1), said('queued', 9), true],
  ['queued at the moment of its end', said('queued', 1), said('failed', 1), false],
  ['queued after its end', said('queued', 9), said('deployed', 1), false],
  ['a later end', said('undone', 2), said('deployed', 1), true],
  ['the same end again', said('failed', 1), said('failed', 1), true],
  ['an earlier end', said('deployed', 1), said('undone', 2), false],
])('%s', (_, answer, known, expected) => {
  expect(outweighs(answer, known)).toBe(expected)
})
