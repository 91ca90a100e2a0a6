import { TestRunner } from 'vitest'

/**
 * Skips the test that calls it (at its beginning, or in a beforeEach) unless the condition holds. The reason is printed
 * at the end of the run. In CI nothing is skipped: what is missing there fails the test.
 */
export function skipUnless(condition: boolean, reason: string): void {
  if (condition) return
  if (process.env['CI'] === 'true') throw new Error(`would be skipped, which CI does not allow: ${reason}`)
  const test = TestRunner.getCurrentTest()
  if (test === undefined) throw new Error('skipUnless belongs inside a test or a beforeEach')
  test.context.skip(reason)
}
