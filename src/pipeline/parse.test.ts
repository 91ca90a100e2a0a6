import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { compilePipeline } from './compile.ts'
import { formatProblem } from './format-problem.ts'
import { push, rules, whole } from './testing.ts'
import { validatePipeline } from './validate.ts'

/** A right file with a few characters taken out, put in or doubled. */
const mutated = fc
  .array(
    fc.record({
      at: fc.nat(whole.length),
      drop: fc.nat(12),
      insert: fc.oneof(
        fc.constantFrom(
          '{',
          '}',
          '[',
          ']',
          ':',
          ': ',
          '- ',
          '*a',
          '&a ',
          '!',
          '"',
          "'",
          '\n',
          '\t',
          '  ',
          '${{',
          '}}',
          '|',
          '>',
          '#',
          '<<',
          '\0',
        ),
        fc.string({ unit: 'binary', maxLength: 4 }),
        fc.tuple(fc.nat(whole.length), fc.nat(60)).map(([from, length]) => whole.slice(from, from + length)),
      ),
    }),
    { minLength: 1, maxLength: 4 },
  )
  .map((cuts) => cuts.reduce((text, { at, drop, insert }) => text.slice(0, at) + insert + text.slice(at + drop), whole))

function readAll(text: string) {
  const read = validatePipeline({ path: '.belay.yml', text }, rules)
  return 'document' in read ? compilePipeline({ document: read.document, trigger: push, rules }) : read
}

describe('any text', () => {
  it('becomes a plan, a reason to skip, or problems with places that are in it', () => {
    fc.assert(
      fc.property(fc.oneof(mutated, mutated, mutated, fc.string({ unit: 'binary', maxLength: 200 })), (text) => {
        const result = readAll(text)
        if (!('problems' in result)) return
        expect(result.problems).not.toEqual([])
        const lines = text.split('\n')
        for (const problem of result.problems) {
          expect(problem.line).toBeGreaterThan(0)
          expect(problem.line).toBeLessThanOrEqual(lines.length)
          expect(problem.column).toBeLessThanOrEqual((lines[problem.line - 1]?.length ?? 0) + 1)
          // eslint-disable-next-line no-control-regex -- a terminal obeys what is in there
          expect(formatProblem(problem, text)).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f]/)
        }
      }),
      { numRuns: 250 },
    )
  })

  it('gives the same answer again', () => {
    fc.assert(
      fc.property(mutated, (text) => {
        expect(JSON.stringify(readAll(text))).toBe(JSON.stringify(readAll(text)))
      }),
      { numRuns: 50 },
    )
  })

  it('may begin with a byte order mark and end its lines as Windows does', () => {
    expect(readAll(`\uFEFF${whole.replaceAll('\n', '\r\n')}`)).toEqual(readAll(whole))
  })
})
