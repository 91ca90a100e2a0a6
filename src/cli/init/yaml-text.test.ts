import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { checkOwnText } from './own-text.ts'
import { readSteps } from './testing.ts'
import { writePipeline } from './write-pipeline.ts'
import { comment } from './yaml-text.ts'

const draft = { findings: [], branch: 'main' }

function written(commands: string[], env: Record<string, string> = {}): string {
  return writePipeline({ ...draft, steps: [{ id: 'a', why: 'a test', commands, env }] })
}

describe('what is written is read back as it was', () => {
  test.each([
    'npm ci',
    "echo 'a: b' # no comment",
    'echo "tail:"',
    '- x',
    '{a: b}',
    '[ -f x ] && y',
    '!x',
    '&x *y',
    'true',
    '20.10',
    '~',
    "'",
    'two\nlines',
    '  leading\nblank',
    'a\n\n  b\n\tc',
    'ends\n',
    'a\n   \nb',
    'tab\there',
    'bell\u0007',
    'nel\u0085ls\u2028',
    '#x',
    '%x',
    '@x',
    '`x`',
    'x\\',
    'a\r\nb',
    '日本 ü 🚀',
    '--- \n...',
    '? x',
    '${X}',
  ])('%j', (line) => {
    expect(readSteps(written([line]))).toEqual({ a: [line] })
  })

  test('any text that a command may hold', () => {
    const text = fc.oneof(fc.string({ unit: 'binary', minLength: 1 }), fc.string({ unit: 'grapheme-ascii', minLength: 1 }))
    const pieces = fc.array(fc.constantFrom('\n', ' ', ': ', '#', "'", '"', '\\', '-', '{', 'a', '\t', '|', '\r'), {
      minLength: 1,
    })
    const line = fc
      .oneof(
        text,
        pieces.map((all) => all.join('')),
      )
      .filter((one) => !one.includes('\0') && !one.includes('${{'))
    fc.assert(
      fc.property(fc.array(line, { minLength: 1, maxLength: 4 }), (lines) => {
        expect(readSteps(written(lines))).toEqual({ a: lines })
      }),
      { numRuns: 500 },
    )
  })
})

test('a comment is one line, of at most 160 characters, whatever it is made of', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 400 }), (text) => {
      const line = comment(text)
      expect(line).toMatch(/^#[^\u0000-\u001f\u0085\u2028\u2029]*$/)
      expect(line.length).toBeLessThanOrEqual(162)
    }),
  )
  expect(comment('a\nsteps: { evil: {} }')).toBe('# a�steps: { evil: {} }')
})

test('a text that `validate` refuses is never written: that is a fault of ours, and says so with its line', () => {
  expect(checkOwnText(written(['x']))).toEqual(['a'])
  expect(() => checkOwnText('steps: { a: { comands: [x] } }')).toThrow(
    expect.objectContaining({ code: 'internal', message: expect.stringContaining('.belay.yml:1:') as string }),
  )
})
