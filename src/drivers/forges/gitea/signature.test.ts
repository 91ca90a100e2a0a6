import { createHmac } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { forgejo, gitea } from './gitea.ts'

const body = Buffer.from('{"ref":"ä"}')
const right = sign('sha256', 'right')
const wrong = sign('sha256', 'wrong')

describe.each([gitea, forgejo])('$name', (forge) => {
  const verify = (headers: Record<string, string | string[]>, secrets = ['right'], bytes = body): boolean =>
    forge.verify({ headers, body: bytes, secrets, now: 0 })

  test.each([
    ['the secret', ['right']],
    ['one of several, while rotating', ['old', 'right']],
    ['one of several, whatever their order', ['right', 'old']],
  ])('accepts a signature made with %s', (_, secrets) => {
    expect(verify({ 'x-gitea-signature': right }, secrets)).toBe(true)
    expect(verify({ 'x-forgejo-signature': right }, secrets)).toBe(true)
  })

  test('accepts hex digits of either case', () => {
    expect(verify({ 'x-gitea-signature': right.toUpperCase() })).toBe(true)
  })

  test.each<[string, Record<string, string | string[]>]>([
    ['made with another secret', { 'x-gitea-signature': wrong }],
    ['made with SHA-1', { 'x-gitea-signature': sign('sha1', 'right') }],
    ['that is absent', {}],
    ['that is blank', { 'x-gitea-signature': '' }],
    ["in GitHub's header alone", { 'x-hub-signature-256': `sha256=${right}` }],
    ["in Gogs's header alone", { 'x-gogs-signature': right }],
    ["with GitHub's prefix", { 'x-gitea-signature': `sha256=${right}` }],
    ['that is too short', { 'x-gitea-signature': right.slice(0, -2) }],
    ['that is too long', { 'x-gitea-signature': `${right}00` }],
    ['that is not hex', { 'x-gitea-signature': 'zz'.repeat(32) }],
    ['given twice', { 'x-gitea-signature': [right, right] }],
    ["where Forgejo's own is wrong", { 'x-gitea-signature': right, 'x-forgejo-signature': wrong }],
    ["where Forgejo's own is blank", { 'x-gitea-signature': right, 'x-forgejo-signature': '' }],
  ])('refuses a signature %s', (_, headers) => {
    expect(verify(headers)).toBe(false)
  })

  test('refuses everything where there is no secret, or an empty one', () => {
    expect(verify({ 'x-gitea-signature': right }, [])).toBe(false)
    expect(verify({ 'x-gitea-signature': sign('sha256', '') }, [''])).toBe(false)
  })

  test('refuses other bytes than those that were signed', () => {
    expect(verify({ 'x-gitea-signature': right }, ['right'], Buffer.concat([body, Buffer.from(' ')]))).toBe(false)
  })
})

function sign(algorithm: 'sha1' | 'sha256', secret: string): string {
  return createHmac(algorithm, secret).update(body).digest('hex')
}
