import fc from 'fast-check'
import { expect, test } from 'vitest'
import { wholeCharacters } from './whole-characters.ts'

test('text cut anywhere and sent in pieces comes out as it was', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), fc.array(fc.nat(8)), (text, cuts) => {
      let rest = Buffer.from(text)
      let pending: Buffer = Buffer.alloc(0)
      let seen = ''
      for (const cut of cuts) {
        pending = Buffer.concat([pending, rest.subarray(0, cut)])
        rest = rest.subarray(cut)
        const whole = wholeCharacters(pending)
        seen += whole.toString('utf8')
        pending = pending.subarray(whole.length)
      }
      expect(seen + Buffer.concat([pending, rest]).toString('utf8')).toBe(text)
    }),
  )
})

test('bytes that are no UTF-8 are not held back', () => {
  for (const bytes of [[0xff], [0x80, 0x80, 0x80, 0x80], [0x61, 0xc0], [0xf8, 0x80]]) {
    expect(wholeCharacters(Buffer.from(bytes))).toHaveLength(bytes.length)
  }
})
