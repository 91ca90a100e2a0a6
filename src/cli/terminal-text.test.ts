import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createLogFilter, printable } from './terminal-text.ts'

const escape = '\u001b'

test.each([
  ['colours stay', `${escape}[1;31mred${escape}[0m\n`, `${escape}[1;31mred${escape}[0m\n`],
  ['the cursor is not moved', `a${escape}[2Jb${escape}[10;10Hc`, 'abc'],
  ['titles are not set', `a${escape}]0;owned\u0007b${escape}]2;x${escape}\\c`, 'abc'],
  ['questions are not asked', `${escape}[6n${escape}[cx`, 'x'],
  ['a bell does not ring', 'a\u0007b\u0008c', 'abc'],
  ['a lone escape goes', `a${escape}cb`, 'ab'],
  ['tabs, returns and other scripts stay', 'a\tb\r\nü→日', 'a\tb\r\nü→日'],
  ['private characters are not taken for escapes', '\ue000[2J', '\ue000[2J'],
])('%s', (_, text, expected) => {
  expect(createLogFilter()(text)).toBe(expected)
})

test('where the chunks are cut makes no difference, and nothing but colours escapes', () => {
  const piece = fc.constantFrom(escape, '[', ']', '0;', '31', 'm', 'J', '\u0007', '\\', 'text', '\n', 'P')
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 40 }), fc.array(fc.nat(60), { maxLength: 5 }), (pieces, cuts) => {
      const text = pieces.join('')
      const whole = createLogFilter()(text)
      const filter = createLogFilter()
      const places = [0, ...cuts.map((cut) => Math.min(cut, text.length)).sort((a, b) => a - b), text.length]
      const parts = places.slice(1).map((end, index) => filter(text.slice(places[index], end)))
      expect(parts.join('')).toBe(whole)
      expect(whole.replace(/\u001b\[[0-9;:]*m/g, '')).not.toContain(escape)
    }),
    { numRuns: 500 },
  )
})

test('one cell of a table stays one line and shows where something was hidden', () => {
  expect(printable('a\nb\u202ec\u001b[2Jd')).toBe('a\ufffdb\ufffdc\ufffd[2Jd')
})
