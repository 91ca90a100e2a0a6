import { createHmac } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { github } from './github.ts'

const body = Buffer.from('{"zen":"ä"}')
const right = sign('sha256', 'right')

describe('verify', () => {
  test.each([
    ['the secret', ['right']],
    ['one of several, while rotating', ['old', 'right']],
    ['one of several, whatever their order', ['right', 'old']],
  ])('accepts a signature made with %s', (_, secrets) => {
    expect(verify({ 'x-hub-signature-256': right }, secrets)).toBe(true)
  })

  test.each([
    ['made with another secret', { 'x-hub-signature-256': sign('sha256', 'wrong') }],
    ['made with SHA-1 alone', { 'x-hub-signature': sign('sha1', 'right') }],
    ['made with SHA-1 in the place of SHA-256', { 'x-hub-signature-256': sign('sha1', 'right') }],
    ['that is absent', {}],
    ['that is blank', { 'x-hub-signature-256': '' }],
    ['without its prefix', { 'x-hub-signature-256': right.slice('sha256='.length) }],
    ['that is too short', { 'x-hub-signature-256': right.slice(0, -2) }],
    ['that is too long', { 'x-hub-signature-256': `${right}00` }],
    ['that is not hex', { 'x-hub-signature-256': `sha256=${'zz'.repeat(32)}` }],
    ['given twice', { 'x-hub-signature-256': [right, right] }],
  ])('refuses a signature %s', (_, headers) => {
    expect(verify(headers, ['right'])).toBe(false)
  })

  test('refuses everything where there is no secret, or an empty one', () => {
    expect(verify({ 'x-hub-signature-256': right }, [])).toBe(false)
    expect(verify({ 'x-hub-signature-256': sign('sha256', '') }, [''])).toBe(false)
  })

  test('refuses other bytes than those that were signed', () => {
    const other = Buffer.concat([body, Buffer.from(' ')])
    expect(github.verify({ headers: { 'x-hub-signature-256': right }, body: other, secrets: ['right'], now: 0 })).toBe(false)
  })
})

function verify(headers: Record<string, string | string[]>, secrets: string[]): boolean {
  return github.verify({ headers, body, secrets, now: 0 })
}

function sign(algorithm: 'sha1' | 'sha256', secret: string): string {
  return `${algorithm}=${createHmac(algorithm, secret).update(body).digest('hex')}`
}
