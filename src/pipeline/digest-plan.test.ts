import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { canonicalJson, digestPlan } from './digest-plan.ts'
import { compileText, onBranch, whole } from './testing.ts'

describe('the digest of a plan', () => {
  it('is the SHA-256 of its canonical JSON', () => {
    const plan = compileText(whole)
    expect(digestPlan(plan)).toBe(`sha256:${createHash('sha256').update(canonicalJson(plan)).digest('hex')}`)
  })
  it('differs where the plan does', () => {
    expect(digestPlan(compileText(whole, onBranch('release/1')))).not.toBe(digestPlan(compileText(whole)))
  })
})

describe('canonical JSON', () => {
  it('does not know in which order keys were set, and loses nothing', () => {
    const map = fc.dictionary(fc.string(), fc.jsonValue(), { noNullPrototype: true })
    fc.assert(
      fc.property(map, (value) => {
        const turned = Object.fromEntries(Object.entries(value).reverse())
        expect(canonicalJson(turned)).toBe(canonicalJson(value))
        expect(JSON.parse(canonicalJson(value))).toEqual(JSON.parse(JSON.stringify(value)))
      }),
    )
  })
  it('takes a key that is undefined for one that is absent', () => {
    expect(canonicalJson({ b: undefined, a: [{ d: 1, c: 2 }] })).toBe('{"a":[{"c":2,"d":1}]}')
  })
})
