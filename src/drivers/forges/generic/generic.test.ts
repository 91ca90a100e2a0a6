import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { generic } from './generic.ts'

const sha = '6f1ed002ab5595859014ebf0951522d9c1b2a3f4'
const push = JSON.parse(readFileSync(join(import.meta.dirname, 'fixtures/push.json'), 'utf8')) as Record<string, unknown>

describe('pushes', () => {
  test('a push is a trigger, and its actor is the sender in the signed body', () => {
    expect(parse(push)).toEqual({
      trigger: {
        event: 'push',
        source: 'hook',
        ref: 'refs/heads/release/1.2',
        branch: 'release/1.2',
        sha,
        actor: { id: 'generic:4711', name: 'ana' },
        title: 'Ship the second shelf',
      },
    })
  })

  test('the body in the documentation is one', () => {
    const page = readFileSync(join(import.meta.dirname, '../../../../docs/operations.md'), 'utf8')
    const [, example] = /The body for `generic`[^]*?```json\n([^]*?)```/.exec(page) ?? []
    expect(parse(JSON.parse(example ?? ''))).toMatchObject({ trigger: { branch: 'main', actor: { id: 'generic:4711' } } })
  })

  test('a title and the name of the sender may be left out', () => {
    expect(parse({ type: 'push', ref: 'refs/heads/main', sha, sender: { id: 'robot' } })).toMatchObject({
      trigger: { title: sha.slice(0, 12), actor: { id: 'generic:robot', name: 'robot' } },
    })
  })

  test.each([
    ['a tag', { ref: 'refs/tags/v1' }, 'tags: not yet'],
    ['another ref', { ref: 'refs/notes/x' }, 'neither a branch nor a tag'],
    ['a branch that is gone', { sha: '0'.repeat(40) }, 'the branch was deleted'],
  ])('a push of %s starts nothing', (_, changes, reason) => {
    expect(parse({ ...push, ...changes })).toEqual({ ignored: reason })
    // Nor do words in its title make a head of it.
    expect(parse({ ...push, ...changes, title: '[skip ci]' })).toStrictEqual({ ignored: reason })
  })

  test('a push whose title says so starts nothing; its head is told', () => {
    const head = { branch: 'release/1.2', sha }
    expect(parse({ ...push, title: 'Words [skip ci]' })).toStrictEqual({ ignored: '[skip ci] in the head commit', head })
    expect(parse({ ...push, sha: 'abc', title: '[skip ci]' })).toStrictEqual({ ignored: 'push of an unknown shape: sha' })
  })

  test.each([
    ['ref', { ref: 7 }],
    ['ref', { ref: 'refs/heads/a\u0000b' }],
    ['ref', { ref: 'refs/heads/a b' }],
    ['branch', { ref: 'refs/heads/' }],
    ['sha', { sha: '--upload-pack=x' }],
    ['sha', { sha: 'abc' }],
    ['title', { title: 7 }],
    ['sender', { sender: undefined }],
    ['sender.id', { sender: { name: 'ana' } }],
    ['sender.id', { sender: { id: 7 } }],
    ['sender.id', { sender: { id: '' } }],
    ['sender.id', { sender: { id: 'x'.repeat(181) } }],
    ['sender.id', { sender: { id: 'a\nb' } }],
  ])('a push with another %s is ignored, and the reason names it but does not repeat it: %j', (path, changes) => {
    expect(parse({ ...push, ...changes })).toEqual({ ignored: `push of an unknown shape: ${path}` })
  })
})

describe('other bodies', () => {
  test('another type starts nothing', () => {
    expect(parse({ ...push, type: 'tag.created' })).toEqual({ ignored: 'type tag.created starts nothing' })
  })

  test.each([[7], [null], ['push'], [[push]], [{}], [{ type: 7 }], [{ type: '' }], [{ type: 'a\u0000' }]])(
    'a body without a type is ignored, never an error: %j',
    (body) => {
      expect(parse(body)).toEqual({ ignored: 'the body has no `type` of letters, digits, ., _ and -' })
      expect(generic.eventOf({ headers: {}, body })).toBe('unknown')
    },
  )
})

describe('headers', () => {
  test('a delivery is ours by its id', () => {
    expect(generic.recognises({ 'webhook-id': 'msg_1' })).toBe(true)
    expect(generic.recognises({ 'x-github-event': 'push' })).toBe(false)
    expect(generic.findDeliveryId({ 'webhook-id': 'msg_1' })).toBe('msg_1')
    expect(generic.findDeliveryId({ 'webhook-id': 'msg.1' })).toBeUndefined()
    expect(generic.findDeliveryId({})).toBeUndefined()
  })

  test('the event is the type in the body, for people', () => {
    expect(generic.eventOf({ headers: {}, body: push })).toBe('push')
  })
})

function parse(body: unknown) {
  return generic.parseDelivery({ headers: {}, body })
}
