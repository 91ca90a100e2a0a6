import fc from 'fast-check'
import picomatch from 'picomatch'
import { describe, expect, it } from 'vitest'
import { matchesGlob, refuseGlob } from './branch-glob.ts'

describe('a branch glob', () => {
  it.each([
    ['main', 'main', true],
    ['main', 'main2', false],
    ['main', 'Main', false],
    ['*', 'main', true],
    ['*', 'a/b', false],
    ['**', 'a/b', true],
    ['release/*', 'release/1', true],
    ['release/*', 'release/1/2', false],
    ['release/**', 'release/1/2', true],
    ['release/**', 'release', false],
    ['**/fix', 'fix', true],
    ['**/fix', 'a/b/fix', true],
    ['**/fix', 'a/prefix', false],
    ['a/**/b', 'a/b', true],
    ['a/**/b', 'a/x/y/b', true],
    ['v?', 'v1', true],
    ['v?', 'v/', false],
    ['{main,release/*}', 'release/2', true],
    ['{main,dev}-{1,2}', 'dev-2', true],
    ['{main,dev}-{1,2}', 'dev-3', false],
    ['fix.me+now', 'fix.me+now', true],
    ['fix.me', 'fixxme', false],
    ['?', '🦀', true],
  ])('%s against %s: %s', (glob, branch, matches) => {
    expect(refuseGlob(glob)).toBeUndefined()
    expect(matchesGlob(branch, glob)).toBe(matches)
  })

  it.each(['!main', 'a[bc]', '+(a)', 'a\\b', '{a,b', 'a}', '{a,{b,c}}', 'refs/heads/main', '{a,b}'.repeat(7), 'x'.repeat(201)])(
    'is refused: %s',
    (glob) => {
      expect(refuseGlob(glob)).toBeTypeOf('string')
    },
  )

  it('means what the shell means by *, ? and {a,b}', () => {
    const word = fc
      .string({ unit: fc.constantFrom('a', 'b', '/', '-'), minLength: 1, maxLength: 8 })
      .filter((text) => !/^\/|\/$|\/\//.test(text))
    const glob = fc
      .array(fc.constantFrom('a', 'b', '-', '/', '*', '?', '{a,b}', '{ab,b-}'), { minLength: 1, maxLength: 6 })
      .map((parts) => parts.join(''))
      .filter((text) => !/\*\*|^\/|\/$|\/\//.test(text))
    fc.assert(
      fc.property(glob, word, (pattern, branch) => {
        // A star alone between slashes matches no empty part there; branches have none.
        expect(matchesGlob(branch, pattern)).toBe(picomatch(pattern, { dot: true, strictSlashes: true })(branch))
      }),
      { numRuns: 500 },
    )
  })

  it('takes no time over a glob and a branch made to take time', () => {
    expect(matchesGlob('a'.repeat(1_000), `${'*a'.repeat(90)}b`)).toBe(false)
  })
})
