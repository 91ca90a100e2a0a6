import { expect, it } from 'vitest'
import { judge } from './check.ts'
import { createFinding } from './finding.ts'

it('a check that breaks is a violation, and one that looked at nothing', async () => {
  const broken = await judge('I9', () => Promise.reject(new Error('no such table')))
  expect(broken.violations).toEqual([{ invariant: 'I9', about: 'the check', facts: 'could not be carried out: no such table' }])
  const idle = await judge('I9', () => createFinding('I9'))
  expect(idle.violations).toEqual([{ invariant: 'I9', about: 'the check', facts: 'looked at nothing' }])
})

it('one that looked and found is told as it is, with how much it looked at', async () => {
  const finding = createFinding('I9')
  finding.look('runs', 3)
  finding.look()
  finding.blame('run 1', 'is wrong')
  expect(await judge('I9', () => finding)).toMatchObject({
    violations: [{ invariant: 'I9', about: 'run 1', facts: 'is wrong' }],
    looked: { I9: 4, 'I9 runs': 3 },
  })
})
