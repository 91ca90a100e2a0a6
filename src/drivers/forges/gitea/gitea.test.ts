import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { forgejo, gitea } from './gitea.ts'

const sha = '6f1ed002ab5595859014ebf0951522d9c1b2a3f4'

describe('pushes', () => {
  test.each([gitea, forgejo])(
    'a push is a trigger, and its actor is the sender in the signed body, by the ids of $name, not the author of the commit',
    (forge) => {
      const headers = { 'x-gitea-event': 'push', 'x-github-event': 'push' }
      expect(forge.parseDelivery({ headers, body: fixture('push') })).toEqual({
        trigger: {
          event: 'push',
          source: 'hook',
          ref: 'refs/heads/release/1.2',
          branch: 'release/1.2',
          sha,
          actor: { id: `${forge.name}:4711`, name: 'ana' },
          title: 'Ship the second shelf',
        },
      })
    },
  )

  test.each([
    ['push-branch-deleted', 'the branch was deleted'],
    ['push-tag', 'tags: not yet'],
  ])('%s starts nothing', (name, reason) => {
    expect(parse('push', fixture(name))).toEqual({ ignored: reason })
  })

  test.each(['[skip ci]', '[ci skip]', '[Skip CI]'])(
    '%s in the head commit starts nothing and is the reason; the head is told',
    (word) => {
      const body = { ...fixture('push'), head_commit: { id: sha, message: `Words\n\n${word}\n` } }
      const head = { branch: 'release/1.2', sha }
      expect(parse('push', body)).toStrictEqual({ ignored: `${word} in the head commit`, head })
    },
  )

  test('a push without a head commit is called by its commit id', () => {
    expect(parse('push', { ...fixture('push'), head_commit: null })).toMatchObject({ trigger: { title: sha.slice(0, 12) } })
  })

  test("Gitea's own users, whose ids are negative, push as well", () => {
    const body = { ...fixture('push'), sender: { id: -2, login: 'gitea-actions' } }
    expect(parse('push', body)).toMatchObject({ trigger: { actor: { id: 'gitea:-2', name: 'gitea-actions' } } })
  })

  test('a repository with SHA-256 has longer commit ids', () => {
    expect(parse('push', { ...fixture('push'), after: 'ab'.repeat(32) })).toMatchObject({ trigger: { sha: 'ab'.repeat(32) } })
    expect(parse('push', { ...fixture('push'), after: '0'.repeat(64) })).toEqual({ ignored: 'the branch was deleted' })
  })

  test.each([
    ['no object', 7],
    ['null', null],
    ['nothing in it', {}],
    ['a commit id that is none', { ...fixture('push'), after: '--upload-pack=x' }],
    ['a branch without a name', { ...fixture('push'), ref: 'refs/heads/' }],
    ['a branch that Git cannot have', { ...fixture('push'), ref: 'refs/heads/a\u0000b' }],
    ['a sender without an id', { ...fixture('push'), sender: { login: 'ana' } }],
    ['a pusher alone', { ...fixture('push'), sender: undefined }],
  ])('a push of an unknown shape is ignored, never an error: %s', (_, body) => {
    const parsed = parse('push', body)
    expect('ignored' in parsed && parsed.ignored).toMatch(/^push of an unknown shape: /)
  })
})

describe('other events', () => {
  test.each([
    ['create', 'create', 'event create: its push is what counts'],
    ['status', 'status', 'event "status" starts nothing'],
    ['pull_request', 'pull-request', 'event pull_request: not yet'],
  ])('%s starts nothing', (event, name, reason) => {
    expect(parse(event, fixture(name))).toEqual({ ignored: reason })
  })

  test.each(['delete', 'fork', 'issues', 'issue_comment', 'pull_request_approved', 'release', 'repository', 'wiki', '', 'x y'])(
    '"%s" starts nothing, whatever is in it',
    (event) => {
      for (const body of [fixture('push'), {}, null]) expect(parse(event, body)).toEqual({ ignored: expect.any(String) })
    },
  )
})

describe('headers', () => {
  test.each([gitea, forgejo])("$name takes Gitea's deliveries and Forgejo's, and none with GitHub's headers alone", (forge) => {
    expect(forge.recognises({ 'x-gitea-event': 'push', 'x-github-event': 'push' })).toBe(true)
    expect(forge.recognises({ 'x-forgejo-event': 'push', 'x-gitea-event': 'push', 'x-github-event': 'push' })).toBe(true)
    expect(forge.recognises({ 'x-forgejo-event': 'push' })).toBe(true)
    expect(forge.recognises({ 'x-github-event': 'push' })).toBe(false)
    expect(forge.recognises({ 'x-gogs-event': 'push' })).toBe(false)
    expect(forge.recognises({})).toBe(false)
  })

  test('the delivery id is its own, never the one in a header of GitHub', () => {
    const id = '1e9a1b3c-0d2f-4a55-8f3e-7b1a2c3d4e5f'
    expect(gitea.findDeliveryId({ 'x-gitea-delivery': id, 'x-github-delivery': 'another' })).toBe(id)
    expect(gitea.findDeliveryId({ 'x-forgejo-delivery': id })).toBe(id)
    expect(gitea.findDeliveryId({ 'x-github-delivery': id })).toBeUndefined()
    expect(gitea.findDeliveryId({ 'x-gitea-delivery': 'two words' })).toBeUndefined()
  })

  test('the event is named for people', () => {
    expect(gitea.eventOf({ headers: { 'x-gitea-event': 'status' }, body: {} })).toBe('status')
    expect(gitea.eventOf({ headers: { 'x-forgejo-event': 'x'.repeat(300) }, body: {} })).toHaveLength(100)
  })
})

function parse(event: string, body: unknown) {
  return gitea.parseDelivery({ headers: { 'x-gitea-event': event }, body })
}

function fixture(name: string): Record<string, unknown> {
  return JSON.parse(readFileSync(join(import.meta.dirname, 'fixtures', `${name}.json`), 'utf8')) as Record<string, unknown>
}
