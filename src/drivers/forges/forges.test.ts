/** What holds for each forge, and between them. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { pushBody, signHook, type HookForge } from '../../../test/helpers/hook.ts'
import { Trigger } from '../../domain/trigger.ts'
import type { Forge, HookHeaders } from './forge.ts'
import { findForge, forges } from './index.ts'

const all: readonly Forge[] = forges
const secret = 'the secret of both'
const sha = '6f1ed002ab5595859014ebf0951522d9c1b2a3f4'

test('a forge is found by its name, and no name twice', () => {
  expect(new Set(all.map(({ name }) => name)).size).toBe(all.length)
  for (const forge of all) expect(findForge(forge.name)).toBe(forge)
  expect(findForge('constructor')).toBeUndefined()
})

test.each<[HookForge, string[]]>([
  ['github', ['github']],
  ['gitea', ['gitea', 'forgejo']],
  ['forgejo', ['gitea', 'forgejo']],
  ['generic', ['generic']],
])('a delivery of %s passes as one of %j and of no other, though the secret is the same', (sender, takers) => {
  const body = Buffer.from(pushBody(sender, { sha, message: 'a commit' }))
  const now = Date.now()
  const headers = signHook({ forge: sender, secret, body, deliveryId: 'one', sentAt: now })
  const passed = all.filter((forge) => forge.recognises(headers) && forge.verify({ headers, body, secrets: [secret], now }))
  expect(passed.map(({ name }) => name)).toEqual(takers)
  for (const forge of passed) expect(forge.findDeliveryId(headers)).toBe('one')
})

describe.each(all)('$name', (forge) => {
  test('whatever comes is a trigger or a reason, never an error', () => {
    fc.assert(
      fc.property(hostileBody, fc.oneof(fc.constant(pushHeaders), hostileHeaders), (body, headers) => {
        const parsed = forge.parseDelivery({ headers, body })
        expect(Parsed.parse(parsed)).toEqual(parsed)
        expect(forge.eventOf({ headers, body }).length).toBeLessThanOrEqual(100)
      }),
      { numRuns: 500 },
    )
  })

  test('whatever comes unsigned is refused, never an error', () => {
    fc.assert(
      fc.property(fc.uint8Array(), hostileHeaders, fc.array(fc.string()), fc.double(), (bytes, headers, secrets, now) => {
        expect(forge.verify({ headers, body: Buffer.from(bytes), secrets, now })).toBe(false)
        expect(forge.findDeliveryId(headers) ?? 'none').toMatch(/^[\w.:-]{1,100}$/)
        expect(forge.recognises(headers)).toEqual(expect.any(Boolean))
      }),
      { numRuns: 500 },
    )
  })
})

const Parsed = z.union([
  z.strictObject({ trigger: Trigger }),
  z.strictObject({ ignored: z.string().min(1), head: Trigger.pick({ branch: true, sha: true }).strict().optional() }),
])

const text = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.string({ minLength: 600, maxLength: 3_000 }),
  fc.constantFrom(
    'push',
    'refs/heads/main',
    'refs/heads/',
    'refs/tags/v1',
    sha,
    '0'.repeat(40),
    '[skip ci]',
    '__proto__',
    '😀'.repeat(400),
  ),
)
const wild = fc.oneof({ weight: 3, arbitrary: text }, fc.jsonValue({ maxDepth: 2 }), fc.double(), fc.integer())
/** Near to a push of any forge, so that not all of it ends at the first check. */
const hostileBody: fc.Arbitrary<unknown> = fc.oneof(
  fc.jsonValue(),
  fc.record(
    {
      type: fc.oneof(fc.constant('push'), wild),
      ref: fc.oneof(
        text,
        text.map((name) => `refs/heads/${name}`),
        wild,
      ),
      after: fc.oneof(fc.constant(sha), wild),
      sha: fc.oneof(fc.constant(sha), wild),
      deleted: fc.oneof(fc.boolean(), wild),
      title: wild,
      head_commit: fc.oneof(fc.record({ message: wild }), wild),
      sender: fc.oneof(fc.record({ id: fc.oneof(fc.integer(), text), login: text, name: text }), wild),
    },
    { requiredKeys: [] },
  ),
)

const pushHeaders: HookHeaders = { 'x-github-event': 'push', 'x-gitea-event': 'push' }

const names = ['github', 'gitea', 'forgejo'].flatMap((name) => [`x-${name}-event`, `x-${name}-delivery`, `x-${name}-signature`])
const header = fc.oneof(
  fc.string(),
  fc.constantFrom('push', 'create', '', `sha256=${'0'.repeat(64)}`, '0'.repeat(64), `v1,${Buffer.alloc(32).toString('base64')}`),
  fc.array(fc.string(), { maxLength: 2 }),
)
const hostileHeaders: fc.Arbitrary<HookHeaders> = fc.dictionary(
  fc.constantFrom(...names, 'x-hub-signature-256', 'webhook-id', 'webhook-timestamp', 'webhook-signature'),
  header,
)
