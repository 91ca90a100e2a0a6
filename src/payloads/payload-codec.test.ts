import { randomBytes } from 'node:crypto'
import { defaultPayloadConverter, type Payload } from '@temporalio/common'
import { describe, expect, it } from 'vitest'
import { createPayloadCodec } from './payload-codec.ts'
import { knownKeysOf, parsePayloadKeys } from './payload-keys.ts'

const [one, two] = [randomBytes(32).toString('base64'), randomBytes(32).toString('hex')]
const codecOf = (...keys: string[]) => createPayloadCodec({ keys: parsePayloadKeys(keys) })
const payloadOf = (value: unknown): Payload => defaultPayloadConverter.toPayload(value) ?? {}
const valueOf = (payload: Payload | undefined): unknown => defaultPayloadConverter.fromPayload(payload ?? {})
const bytesOf = ({ data, metadata }: Payload) =>
  Buffer.concat([...(data ? [data] : []), ...Object.values(metadata ?? {})].map((part) => Buffer.from(part))).toString('latin1')

async function encrypted(value: unknown, ...keys: string[]): Promise<Payload> {
  const [payload] = await codecOf(...keys).encode([payloadOf(value)])
  return payload ?? {}
}

describe('a payload', () => {
  it.each([['text'], [{ a: [1, null] }], [undefined], [new Uint8Array([0, 255])], [''], ['x'.repeat(500_000)]])(
    '%j is what it was once it is decrypted',
    async (value) => {
      const [back] = await codecOf(one).decode([await encrypted(value, one)])
      expect(valueOf(back)).toEqual(value)
    },
  )

  it('has nothing readable in it, its length aside, and never the same bytes twice', async () => {
    const [first, second] = [await encrypted('needle', one), await encrypted('needle', one)]
    expect(bytesOf(first)).not.toMatch(/needle|json/)
    expect(bytesOf(first)).not.toBe(bytesOf(second))
  })

  it('without a key stays as it is, and is read by those that have one', async () => {
    const plain = await encrypted('plain')
    expect(plain).toEqual(payloadOf('plain'))
    expect(valueOf((await codecOf(one).decode([plain]))[0])).toBe('plain')
  })

  it('is encrypted with the first key and read with any', async () => {
    const old = await encrypted('old', one)
    const rotated = codecOf(two, one)
    expect(valueOf((await rotated.decode([old]))[0])).toBe('old')
    const fresh = await encrypted('fresh', two, one)
    await expect(codecOf(one).decode([fresh])).rejects.toThrow(/is encrypted with the key/)
    expect(valueOf((await codecOf(two).decode([fresh]))[0])).toBe('fresh')
  })

  it('of a key that is not here is an error that names the key and says what to do', async () => {
    const missing: string[] = []
    const codec = createPayloadCodec({ keys: parsePayloadKeys([two]), onMissingKey: (id) => missing.push(id) })
    const { encrypts = '' } = knownKeysOf([one])
    await expect(codec.decode([await encrypted('x', one)])).rejects.toMatchObject({
      code: 'missing_part',
      retryable: true,
      message: expect.stringContaining(encrypts) as string,
      hint: expect.stringContaining('encryption.key') as string,
    })
    expect(missing).toEqual([encrypts])
  })

  it.each([0, 12, -1])('that was changed at byte %i is refused', async (at) => {
    const payload = await encrypted('x', one)
    const data = Buffer.from(payload.data ?? [])
    const place = at < 0 ? data.length + at : at
    data.writeUInt8((data[place] ?? 0) ^ 1, place)
    await expect(codecOf(one).decode([{ ...payload, data }])).rejects.toMatchObject({ code: 'mismatch' })
  })
})

describe('keys', () => {
  it('are 32 bytes in base64 or hex, several one a line', () => {
    expect(parsePayloadKeys([`${one}\n${two}\n`]).map(({ key }) => key.length)).toEqual([32, 32])
    expect(parsePayloadKeys(['', '\n'])).toEqual([])
  })

  it.each(['short', 'a'.repeat(43), `${'a'.repeat(60)} b`, 'g'.repeat(64), randomBytes(31).toString('base64')])(
    '%s is none, and is not repeated',
    (text) => {
      const parse = () => parsePayloadKeys([one, text])
      expect(parse).toThrow(/^key 2 of the payload keys is not 32 bytes/)
      expect(parse).not.toThrow(text)
    },
  )

  it('have a name that does not change with how they are written', () => {
    const hex = Buffer.from(one, 'base64').toString('hex')
    expect(knownKeysOf([hex, two])).toEqual({ ...knownKeysOf([one, two]), encrypts: knownKeysOf([one]).encrypts })
  })
})
