import { createHmac, randomBytes } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { verifyWebhook } from './standard-webhooks.ts'

const body = Buffer.from('{"type":"push","title":"ä"}')
const now = 1_767_323_045_678
const sentAt = Math.floor(now / 1_000)
const bytes = Buffer.from(Array.from({ length: 32 }, (_, index) => 255 - index))

type Key = string | Buffer

describe('signatures', () => {
  test.each<[string, Key, string[]]>([
    ['the bytes that the secret is in base64', bytes, [`whsec_${bytes.toString('base64')}`]],
    ['the same without its prefix', bytes, [bytes.toString('base64')]],
    ['text that only looks like base64, as it is', bytes.toString('hex'), [bytes.toString('hex')]],
    ['a secret that is no base64, as its UTF-8 bytes', 'it is a sëcret', ['it is a sëcret']],
    ['one that has the prefix but no base64 after it, as it is', 'whsec_it is', ['whsec_it is']],
    ['one of several, while rotating', 'it is new', ['it is old', 'it is new']],
    ['one of several, whatever their order', 'it is old', ['it is old', `whsec_${bytes.toString('base64')}`]],
  ])('accepts one made with %s', (_, key, secrets) => {
    expect(verify({ signature: sign(key) }, secrets)).toBe(true)
  })

  test('accepts one of several in the header, while the sender rotates', () => {
    const others = Array.from({ length: 5 }, () => `v1,${randomBytes(32).toString('base64')}`)
    expect(verify({ signature: [...others, sign('it is'), 'v1a,x', 'v2,y'].join(' ') })).toBe(true)
    expect(verify({ signature: [sign('it is'), ...others].join(' ') })).toBe(true)
    expect(verify({ signature: others.join(' ') })).toBe(false)
  })

  const right = sign('it is')
  test.each([
    ['made with another secret', sign('it was')],
    ['of another scheme', right.replace('v1,', 'v1a,')],
    ['without its scheme', right.replace('v1,', '')],
    ['in hex', `v1,${Buffer.from(right.slice(3), 'base64').toString('hex')}`],
    ['that is too short', `v1,${Buffer.alloc(31).toString('base64')}`],
    ['that is too long', `v1,${Buffer.alloc(33).toString('base64')}`],
    ['cut off', right.slice(0, -4)],
    ['that is blank', ''],
    ['separated by commas', `${sign('it was')},${right}`],
  ])('refuses one %s', (_, signature) => {
    expect(verify({ signature })).toBe(false)
  })

  test('refuses everything where there is no secret, or an empty one', () => {
    expect(verify({ signature: right }, [])).toBe(false)
    expect(verify({ signature: sign('') }, [''])).toBe(false)
    expect(verify({ signature: sign('') }, ['whsec_'])).toBe(false)
    expect(verify({ signature: sign('whsec_') }, ['whsec_'])).toBe(false)
  })

  test('a secret with its prefix is not also taken as text', () => {
    const secret = `whsec_${bytes.toString('base64')}`
    expect(verify({ signature: sign(secret) }, [secret])).toBe(false)
  })
})

describe('what is signed', () => {
  test.each([
    ['another id', { 'webhook-id': 'other' }],
    ['another time', { 'webhook-timestamp': String(sentAt + 1) }],
    ['the same time, written otherwise', { 'webhook-timestamp': `0${String(sentAt)}` }],
    ['no id', { 'webhook-id': undefined }],
    ['no time', { 'webhook-timestamp': undefined }],
    ['no signature', { 'webhook-signature': undefined }],
    ['its id twice', { 'webhook-id': ['msg_1', 'msg_1'] }],
  ])('refuses a delivery with %s', (_, changes) => {
    const headers = { ...headersOf({}), ...changes }
    expect(verifyWebhook({ headers: headersOf({}), body, secrets: ['it is'], now })).toBe(true)
    expect(verifyWebhook({ headers, body, secrets: ['it is'], now })).toBe(false)
  })

  test('refuses other bytes than those that were signed', () => {
    const other = Buffer.concat([body, Buffer.from(' ')])
    expect(verifyWebhook({ headers: headersOf({}), body: other, secrets: ['it is'], now })).toBe(false)
  })

  test.each(['msg.1', `msg_1.${String(sentAt)}`, 'two words', '', 'x'.repeat(101)])(
    'refuses the id "%s", well signed: a dot would let one message pass as another',
    (id) => {
      expect(verify({ id })).toBe(false)
    },
  )
})

describe('time', () => {
  // The header has whole seconds, the clock has not.
  test.each([
    ['sent now', sentAt, true],
    ['almost five minutes old', sentAt - 299, true],
    ['five minutes old', Math.ceil(now / 1_000) - 300, true],
    ['older than five minutes', sentAt - 300, false],
    ['five minutes ahead', sentAt + 300, true],
    ['further ahead', sentAt + 301, false],
    ['a year old', sentAt - 31_536_000, false],
  ])('a well signed delivery that is %s: %i is taken: %s', (_, timestamp, taken) => {
    expect(verify({ timestamp: String(timestamp) })).toBe(taken)
  })

  test('five minutes to the millisecond are taken', () => {
    const taken = (at: number) => verifyWebhook({ headers: headersOf({}), body, secrets: ['it is'], now: at })
    expect([-300_001, -300_000, 300_000, 300_001].map((byMs) => taken(sentAt * 1_000 + byMs))).toEqual([false, true, true, false])
  })

  test.each([
    '',
    'now',
    `${String(sentAt)}.0`,
    `+${String(sentAt)}`,
    ` ${String(sentAt)}`,
    '1e9',
    `0x${sentAt.toString(16)}`,
    String(sentAt * 1_000),
    '9'.repeat(400),
  ])('a time that is not in whole seconds, "%s", is refused, well signed or not', (timestamp) => {
    expect(verify({ timestamp })).toBe(false)
  })
})

interface Delivery {
  id: string
  timestamp: string
  signature: string
}

function verify(delivery: Partial<Delivery>, secrets = ['it is']): boolean {
  return verifyWebhook({ headers: headersOf(delivery), body, secrets, now })
}

/** Well signed with `it is` unless a signature is given. */
function headersOf({
  id = 'msg_1',
  timestamp = String(sentAt),
  signature = sign('it is', { id, timestamp }),
}: Partial<Delivery>) {
  return { 'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': signature }
}

function sign(key: Key, { id = 'msg_1', timestamp = String(sentAt) } = {}): string {
  const signed = Buffer.concat([Buffer.from(`${id}.${timestamp}.`), body])
  return `v1,${createHmac('sha256', key).update(signed).digest('base64')}`
}
