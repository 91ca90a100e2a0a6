import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createMask } from './masker.ts'
import { formsOf } from './secret-forms.ts'

/** What a reader sees of a text that comes in these chunks. */
function maskChunks(secrets: string[], chunks: readonly Uint8Array[]): Buffer {
  const masker = createMask(Object.fromEntries(secrets.map((value, index) => [`S${String(index)}`, value]))).createMasker()
  return Buffer.concat([...chunks.map((chunk) => masker.write(chunk)), masker.end()])
}

function cut(bytes: Buffer, places: readonly number[]): Buffer[] {
  const at = [...places].map((place) => place % (bytes.length + 1)).sort((a, b) => a - b)
  return [...at, bytes.length].map((end, index) => bytes.subarray(index === 0 ? 0 : at[index - 1], end))
}

const letters = Array.from('abcAB01/+ "\\é&%\n')
const secretText = fc
  .string({ unit: fc.constantFrom(...letters), minLength: 4, maxLength: 12 })
  .filter((text) => text.trim().length >= 4)
const anyText = fc.string({ unit: fc.constantFrom(...letters), maxLength: 40 })
const places = fc.array(fc.nat(), { maxLength: 12 })

/** The same without a stream: every form everywhere, what overlaps as one. */
function maskWhole(secrets: string[], bytes: Buffer): string {
  const covered = new Uint8Array(bytes.length)
  const text = bytes.toString('latin1')
  for (const form of secrets.flatMap(formsOf)) {
    const wanted = form.toString('latin1')
    for (let at = text.indexOf(wanted); at !== -1; at = text.indexOf(wanted, at + 1)) {
      // 2 goes on with the byte before it, 1 may begin a secret of its own.
      covered[at] = Math.max(covered[at] ?? 0, 1)
      covered.fill(2, at + 1, at + wanted.length)
    }
  }
  return Array.from(text, (character, at) => [character, '***', ''][covered[at] ?? 0]).join('')
}

describe('masker', () => {
  it('never lets a secret out, in any form, wherever it stands and however the stream is cut', () => {
    fc.assert(
      fc.property(
        fc.array(secretText, { minLength: 1, maxLength: 3 }),
        fc.array(fc.tuple(anyText, fc.nat(), fc.nat()), { minLength: 1, maxLength: 4 }),
        places,
        (secrets, pieces, cuts) => {
          const forms = secrets.flatMap(formsOf)
          const text = Buffer.concat(
            pieces.flatMap(([before, which]) => [Buffer.from(before), forms[which % forms.length] ?? Buffer.alloc(0)]),
          )
          const shown = maskChunks(secrets, cut(text, cuts))
          // The stars may touch what stands around them, so look between them.
          for (const part of shown.toString('latin1').split('***')) {
            for (const form of forms) expect(part.includes(form.toString('latin1'))).toBe(false)
          }
        },
      ),
      { numRuns: 500 },
    )
  })

  it('shows exactly what a search in the whole text would leave, whatever the chunks were', () => {
    const pieces = fc.array(fc.tuple(anyText, fc.nat(), fc.nat({ max: 12 })), { maxLength: 6 })
    fc.assert(
      fc.property(fc.array(secretText, { minLength: 1, maxLength: 3 }), pieces, places, (secrets, parts, cuts) => {
        // Whole secrets and beginnings of them, so that matches overlap and break off.
        const text = parts
          .map(([before, which, length]) => before + (secrets[which % secrets.length] ?? '').slice(0, length))
          .join('')
        const bytes = Buffer.from(text)
        expect(maskChunks(secrets, cut(bytes, cuts)).toString('latin1')).toBe(maskWhole(secrets, bytes))
      }),
      { numRuns: 3_000 },
    )
  })

  it('stays exact where secrets overlap, byte by byte', () => {
    const few = fc.string({ unit: fc.constantFrom('a', 'b'), minLength: 4, maxLength: 7 })
    const long = fc.string({ unit: fc.constantFrom('a', 'b'), maxLength: 40 })
    fc.assert(
      fc.property(fc.array(few, { minLength: 1, maxLength: 3 }), long, (secrets, text) => {
        const bytes = Array.from(text, (character) => Buffer.from(character))
        expect(maskChunks(secrets, bytes).toString()).toBe(maskWhole(secrets, Buffer.from(text)))
      }),
      { numRuns: 2_000 },
    )
    const bytes = Array.from('abcdefX', (character) => Buffer.from(character))
    expect(maskChunks(['abcd', 'cdefgh'], bytes).toString()).toBe('***efX')
  })

  it('leaves bytes without a secret as they are', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), places, (bytes, cuts) => {
        expect(maskChunks(['ß-not-in-there-ß'], cut(Buffer.from(bytes), cuts)).equals(Buffer.from(bytes))).toBe(true)
        expect(maskChunks([], cut(Buffer.from(bytes), cuts)).equals(Buffer.from(bytes))).toBe(true)
      }),
    )
  })

  it('finds base64 of a secret inside other text at all three alignments', () => {
    for (const lead of ['', 'x', 'xy', 'xyz']) {
      const secret = 'correct-horse-battery'
      const encoded = Buffer.from(`${lead}${secret}--tail`).toString('base64')
      const shown = maskChunks([secret], [Buffer.from(encoded)]).toString()
      expect(shown).toContain('***')
      expect(Buffer.from(shown.replaceAll('*', ''), 'base64').toString()).not.toContain('horse')
    }
  })

  it.each([
    ['plain', 'p@ss word/1', 'p@ss word/1'],
    ['URL-encoded', 'p@ss word/1', 'p%40ss%20word%2F1'],
    ['URL-encoded in lower case', 'p@ss word/1', 'p%40ss%20word%2f1'],
    ['form-encoded', 'p@ss word/1', 'p%40ss+word%2F1'],
    ['JSON-escaped', 'say "hi"\tnow', 'say \\"hi\\"\\tnow'],
    ['JSON-escaped to ASCII', 'schlüssel', 'schl\\u00fcssel'],
    ['a line of several', '-----BEGIN-----\nabcdefgh\n-----END-----\n', 'abcdefgh'],
  ])('masks a secret %s', (_, secret, shown) => {
    expect(maskChunks([secret], [Buffer.from(`<${shown}>`)]).toString()).toBe('<***>')
  })

  it('shows at once what cannot be the beginning of a secret', () => {
    const masker = createMask({ TOKEN: 'abcdef' }).createMasker()
    expect(masker.write(Buffer.from('hello\nab')).toString()).toBe('hello\n')
    expect(masker.write(Buffer.from('x')).toString()).toBe('abx')
  })

  it('says which secrets are too short to be masked', () => {
    const mask = createMask({ PIN: '123', TOKEN: 'abcd', EMPTY: '' })
    expect(mask.unmaskable).toEqual(['PIN'])
    expect(mask.maskText('123 abcd')).toBe('123 ***')
  })
})
