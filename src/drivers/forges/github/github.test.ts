import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { github } from './github.ts'

const sha = '6f1ed002ab5595859014ebf0951522d9c1b2a3f4'

describe('pushes', () => {
  test('a push is a trigger, and its actor is the sender in the signed body, not the author of the commit', () => {
    expect(parse('push', fixture('push'))).toEqual({
      trigger: {
        event: 'push',
        source: 'hook',
        ref: 'refs/heads/release/1.2',
        branch: 'release/1.2',
        sha,
        actor: { id: 'github:4711', name: 'ana' },
        title: 'Ship the second shelf',
      },
    })
  })

  test.each([
    ['push-branch-deleted', 'the branch was deleted'],
    ['push-tag', 'tags: not yet'],
  ])('%s starts nothing', (name, reason) => {
    expect(parse('push', fixture(name))).toEqual({ ignored: reason })
  })

  test.each(['[skip ci]', '[ci skip]', '[Skip CI]'])(
    '%s in the head commit starts nothing and is the reason; the head is told',
    (word) => {
      const body = { ...fixture('push'), head_commit: { id: sha, message: `Words\n\n${word}` } }
      const head = { branch: 'release/1.2', sha }
      expect(parse('push', body)).toStrictEqual({ ignored: `${word} in the head commit`, head })
    },
  )

  test('a push without a head commit is called by its commit id', () => {
    expect(parse('push', { ...fixture('push'), head_commit: null })).toMatchObject({ trigger: { title: sha.slice(0, 12) } })
  })

  test.each([
    ['no object', 7],
    ['null', null],
    ['nothing in it', {}],
    ['a commit id that is none', { ...fixture('push'), after: '--upload-pack=x' }],
    ['a ref of two thousand letters', { ...fixture('push'), ref: `refs/heads/${'x'.repeat(2000)}` }],
    ['a branch without a name', { ...fixture('push'), ref: 'refs/heads/' }],
    ['a sender without an id', { ...fixture('push'), sender: { login: 'ana' } }],
  ])('a push of an unknown shape is ignored, never an error: %s', (_, body) => {
    const parsed = parse('push', body)
    expect('ignored' in parsed && parsed.ignored).toMatch(/^push of an unknown shape: /)
  })

  test('what was sent is not repeated in the reason', () => {
    expect(JSON.stringify(parse('push', { ...fixture('push'), after: 'PRIVATE' }))).not.toContain('PRIVATE')
  })
})

describe('other events', () => {
  test('a ping is ignored as a ping', () => {
    expect(parse('ping', fixture('ping'))).toEqual({ ignored: 'ping' })
  })

  test('a pull request is not carried out yet, and an unknown event starts nothing', () => {
    expect(parse('pull_request', {})).toEqual({ ignored: 'event pull_request: not yet' })
    expect(parse('star', {})).toEqual({ ignored: 'event "star" starts nothing' })
  })
})

describe('headers', () => {
  test("Gitea's and Forgejo's deliveries are not GitHub's, though they send its headers too", () => {
    expect(github.recognises({ 'x-github-event': 'push' })).toBe(true)
    expect(github.recognises({ 'x-github-event': 'push', 'x-gitea-event': 'push' })).toBe(false)
    expect(github.recognises({ 'x-github-event': 'push', 'x-forgejo-event': 'push' })).toBe(false)
    expect(github.recognises({})).toBe(false)
  })

  test('a delivery id is taken only in a shape that GitHub sends', () => {
    const id = '72d3162e-cc78-11e3-81ab-4c9367dc0958'
    expect(github.findDeliveryId({ 'x-github-delivery': id })).toBe(id)
    expect(github.findDeliveryId({ 'x-github-delivery': 'two words' })).toBeUndefined()
    expect(github.findDeliveryId({ 'x-github-delivery': 'x'.repeat(101) })).toBeUndefined()
    expect(github.findDeliveryId({})).toBeUndefined()
  })
})

function parse(event: string, body: unknown) {
  return github.parseDelivery({ headers: { 'x-github-event': event }, body })
}

function fixture(name: string): Record<string, unknown> {
  return JSON.parse(readFileSync(join(import.meta.dirname, 'fixtures', `${name}.json`), 'utf8')) as Record<string, unknown>
}
