import { describe, expect, it } from 'vitest'
import { runStatuses } from './run.ts'
import { noteOf, settleUndo, type Standing } from './settle-undo.ts'

const blocked: Standing = {
  number: 5,
  status: 'rollback_blocked',
  blocked: [
    { step: 'two', does: './two.sh' },
    { step: 'one', does: './one.sh' },
  ],
}

describe('a blocked undo', () => {
  it.each(['retry', 'skip'] as const)('is settled by %s in its turn, and the others are said to come after it', (action) => {
    expect(settleUndo({ action }, blocked)).toEqual({ action, step: 'two', does: './two.sh', left: ['one'] })
    expect(settleUndo({ action, step: 'two' }, blocked).step).toBe('two')
  })

  it('is not settled under the name of another: which one it is stands in the refusal', () => {
    expect(() => settleUndo({ action: 'skip', step: 'one' }, blocked)).toThrow(
      expect.objectContaining({
        code: 'conflict',
        message: 'run 5 is not blocked at "one": what is blocked is the undo of "two"',
        hint: 'Name "two", or no step.',
      }),
    )
  })

  it.each(runStatuses.filter((status) => status !== 'rollback_blocked'))('is none in a run that is %s', (status) => {
    const refusal = { code: 'conflict', message: `run 5 is ${status}: it is not blocked at an undo` }
    expect(() => settleUndo({ action: 'retry' }, { ...blocked, status })).toThrow(expect.objectContaining(refusal))
  })

  it('is none while none has failed', () => {
    const refusal = { code: 'conflict', message: 'run 5 is rollback_blocked: it is not blocked at an undo' }
    expect(() => settleUndo({ action: 'skip' }, { ...blocked, blocked: [] })).toThrow(expect.objectContaining(refusal))
  })
})

it('says who did it, and why if they said so', () => {
  const actor = { id: 'token:ana', name: 'ana' }
  expect(noteOf({ action: 'skip', actor, reason: 'done by hand' })).toBe('skipped by ana: done by hand')
  expect(noteOf({ action: 'retry', actor })).toBe('tried again by ana')
})
