import { describe, expect, it } from 'vitest'
import { planLimits } from '../domain/plan.ts'
import { compileText, mistakesIn, wordsAbout } from './testing.ts'

const mebibyte = 1024 * 1024

function steps(count: number, body = '{ commands: [x] }'): string {
  return `steps:\n${Array.from({ length: count }, (_, index) => `  s${index}: ${body}\n`).join('')}`
}

describe('the limits of a file', () => {
  it('takes a file of 1 MiB, and refuses one byte more', () => {
    const small = steps(1)
    const padding = (bytes: number) => `${small}#${' '.repeat(bytes - small.length - 1)}`
    expect(mistakesIn(padding(mebibyte))).toEqual([])
    expect(mistakesIn(padding(mebibyte + 1))).toEqual(['1:1 too_large'])
  })

  it('counts bytes, not characters', () => {
    expect(mistakesIn(`# ${'ü'.repeat(mebibyte / 2)}\n${steps(1)}`)).toEqual(['1:1 too_large'])
  })

  it('takes 500 steps, and refuses one more', () => {
    expect(compileText(steps(planLimits.steps)).steps).toHaveLength(500)
    expect(mistakesIn(steps(planLimits.steps + 1))).toEqual(['1:1 too_many_steps'])
  })

  it('counts steps of finally too', () => {
    expect(mistakesIn(`${steps(planLimits.steps)}finally:\n  last: { commands: [x] }\n`)).toEqual(['1:1 too_many_steps'])
  })

  it('takes 50 aliases, and refuses one more where it stands', () => {
    const aliases = (count: number) =>
      `steps:\n  a: { commands: &c [x] }\n${Array.from({ length: count }, (_, i) => `  b${i}: { commands: *c }\n`).join('')}`
    expect(mistakesIn(aliases(50))).toEqual([])
    expect(mistakesIn(aliases(51))).toEqual(['53:20 too_many_aliases'])
  })

  it('does not take text that begins with a star for an alias', () => {
    const lines = Array.from({ length: 60 }, () => '      - "*x"\n').join('')
    expect(mistakesIn(`steps:\n  a:\n    commands:\n${lines}      - |\n        *y\n`)).toEqual([])
  })

  it('refuses aliases that unfold to a great many values', () => {
    const bomb = Array.from(
      { length: 9 },
      (_, i) =>
        `  a${i}: &a${i} [${
          i === 0
            ? 'x'
            : Array(5)
                .fill(`*a${i - 1}`)
                .join(', ')
        }]\n`,
    )
    expect(mistakesIn(`env:\n${bomb.join('')}${steps(1)}`)).toContain('8:12 too_many_aliases')
  })

  it('refuses an alias inside of what it stands for', () => {
    expect(mistakesIn('steps: &s { a: *s }').join()).toContain('too_many_aliases')
  })

  it('refuses a plan of more than 512 KiB, and names what makes it long', () => {
    const text = steps(400, `{ commands: ["${'x'.repeat(1400)}"] }`)
    expect(mistakesIn(text)).toEqual(['1:1 too_large'])
    expect(wordsAbout(text)).toContain('524288')
  })

  it.each([
    ['brackets', '['.repeat(mebibyte)],
    ['braces', '{'.repeat(mebibyte)],
    ['lists in lists', '- '.repeat(mebibyte / 2)],
    ['questions', '? '.repeat(mebibyte / 2)],
    ['maps in a line', 'a: '.repeat(mebibyte / 4)],
    ['maps in maps', Array.from({ length: 1_000 }, (_, i) => `${' '.repeat(i)}a:`).join('\n')],
  ])('gives up on values too deep in one another: %s', (_, text) => {
    expect(mistakesIn(text).join()).toMatch(/too_deep/)
  })

  it('takes values 64 deep, where the language has a place for them or not', () => {
    const nested = (depth: number) => `${'['.repeat(depth)}${']'.repeat(depth)}`
    expect(wordsAbout(nested(64))).toContain('a pipeline is a map')
    expect(mistakesIn(nested(65))).toEqual(['1:65 too_deep'])
  })

  it.each([
    ['anchors', '&a '.repeat(mebibyte / 4)],
    ['tags', '!a '.repeat(mebibyte / 4)],
    ['texts in a row', '"a" '.repeat(mebibyte / 4)],
    ['commas', `[${'a,'.repeat(mebibyte / 2 - 1)}]`],
    ['documents', '---\n'.repeat(mebibyte / 4)],
    ['empty lines', ' \n'.repeat(mebibyte / 2)],
    ['keys', Array.from({ length: 80_000 }, (__, i) => `k${i}: v`).join('\n')],
  ])('gives up on a file of too many parts: %s', (_, text) => {
    expect(mistakesIn(text).join()).toMatch(/too_many_parts/)
  })

  it('refuses ten thousand unknown keys without looking for a likeness of each', () => {
    const text = `${Array.from({ length: 10_000 }, (_, i) => `k${i}: v\n`).join('')}${steps(1)}`
    expect(mistakesIn(text)).toHaveLength(50)
  })
})
