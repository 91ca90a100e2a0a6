import { describe, expect, test } from 'vitest'
import { readAllPages, startRun } from './samples.ts'
import type { OpenStoreUnderTest } from './samples.ts'

export function tokenContract(open: OpenStoreUnderTest): void {
  describe('tokens', () => {
    test('one is found by itself, and by nothing else', async () => {
      const { store } = await open()
      const token = await store.tokens.create({ name: 'admin', role: 'admin' })
      expect(token).toMatch(/^bly_[\w-]{43}$/)
      expect(await store.tokens.find(token)).toEqual({ name: 'admin', role: 'admin' })
      for (const other of ['', 'bly_', `${token}x`, token.toUpperCase()]) expect(await store.tokens.find(other)).toBeUndefined()
    })

    test('one of the same name revokes the older', async () => {
      const { store } = await open()
      const older = await store.tokens.create({ name: 'ana', role: 'admin' })
      const newer = await store.tokens.create({ name: 'ana', role: 'viewer' })
      expect(await store.tokens.find(older)).toBeUndefined()
      expect(await store.tokens.find(newer)).toEqual({ name: 'ana', role: 'viewer' })
      expect(await store.tokens.hasAny('admin')).toBe(false)
    })

    test('one that has expired is no longer found, nor counted', async () => {
      const { store, clock } = await open()
      const token = await store.tokens.create({ name: 'ana', role: 'operator', expiresAt: clock.now + 100 })
      expect(await store.tokens.hasAny('operator')).toBe(true)
      clock.now += 100
      expect(await store.tokens.find(token)).toBeUndefined()
      expect(await store.tokens.hasAny('operator')).toBe(false)
    })

    test('those that are not revoked are listed, newest first, page by page, without themselves', async () => {
      const { store, clock } = await open()
      for (const name of ['a', 'b', 'a', 'c']) {
        clock.now += 1
        await store.tokens.create({ name, role: 'viewer', ...(name === 'c' ? { expiresAt: 5 } : {}) })
      }
      const { items, pages } = await readAllPages((cursor) => store.tokens.list({ limit: 2, cursor }))
      expect(items).toStrictEqual([
        { name: 'c', role: 'viewer', createdAt: clock.now, expiresAt: 5 },
        { name: 'a', role: 'viewer', createdAt: clock.now - 1 },
        { name: 'b', role: 'viewer', createdAt: clock.now - 2 },
      ])
      expect(pages).toBe(2)
    })

    test('a revoked one is no longer found, listed or counted; one that is not there cannot be revoked', async () => {
      const { store } = await open()
      const token = await store.tokens.create({ name: 'ana', role: 'operator' })
      const revoke = (name: string) => store.tokens.revoke({ name, actor: 'token:admin' })
      expect(await revoke('ben')).toBe('unknown')
      expect(await revoke('ana')).toBe('revoked')
      expect(await revoke('ana')).toBe('unknown')
      expect(await store.tokens.find(token)).toBeUndefined()
      expect((await store.tokens.list({})).items).toEqual([])
      expect(await store.tokens.hasAny('operator')).toBe(false)
      expect((await store.audit.list({})).items).toMatchObject([
        { actor: 'token:admin', action: 'token.revoke', subject: 'ana' },
        { actor: 'belay', action: 'token.create', subject: 'ana' },
      ])
    })

    test('one that a person asks for takes no name that is taken, unless told to, and is in the audit without itself', async () => {
      const { store, clock } = await open()
      const issue = (role: 'viewer' | 'operator', replace = false) =>
        store.tokens.issue({ name: 'ci', role, replace, actor: 'token:ana', expiresAt: clock.now + 100 })
      const older = await issue('viewer')
      expect(await issue('operator')).toEqual({ type: 'taken' })
      const newer = await issue('operator', true)
      if (older.type !== 'made' || newer.type !== 'made') throw new Error('not made')
      expect([await store.tokens.find(older.token), await store.tokens.find(newer.token)]).toEqual([
        undefined,
        { name: 'ci', role: 'operator' },
      ])
      const { items } = await store.audit.list({})
      expect(items.map(({ action, data }) => [action, data])).toEqual([
        ['token.create', { role: 'operator', expiresAt: clock.now + 100, replaces: 'viewer' }],
        ['token.create', { role: 'viewer', expiresAt: clock.now + 100 }],
      ])
      expect(JSON.stringify(items)).not.toContain(newer.token)
      clock.now += 100
      expect(await issue('viewer')).toMatchObject({ type: 'made' })
    })

    test("of the last two valid admin's one stays, however many are ended at once", async () => {
      const { store, clock } = await open()
      for (const name of ['a', 'b']) await store.tokens.create({ name, role: 'admin' })
      await store.tokens.create({ name: 'old', role: 'admin', expiresAt: clock.now - 1 })
      const ends = await Promise.all([
        store.tokens.revoke({ name: 'a', actor: 'x' }),
        store.tokens.issue({ name: 'b', role: 'viewer', replace: true, actor: 'x' }),
      ])
      expect(ends.filter((end) => end === 'last_admin' || (typeof end === 'object' && end.type === 'last_admin'))).toHaveLength(1)
      expect(await store.tokens.hasAny('admin')).toBe(true)
      expect(await store.tokens.revoke({ name: 'old', actor: 'x' })).toBe('revoked')
    })

    test('the last valid admin without an expiry stays: neither one that expires nor another that does takes its place', async () => {
      const { store, clock } = await open()
      const expiresAt = clock.now + 100
      const issue = (name: string, until: { expiresAt?: number }) =>
        store.tokens.issue({ name, role: 'admin', replace: true, actor: 'x', ...until })
      const token = await store.tokens.create({ name: 'a', role: 'admin' })
      expect(await issue('a', { expiresAt })).toEqual({ type: 'last_admin' })
      expect(await issue('b', { expiresAt })).toMatchObject({ type: 'made' })
      expect(await issue('a', { expiresAt })).toEqual({ type: 'last_admin' })
      expect(await store.tokens.revoke({ name: 'a', actor: 'x' })).toBe('last_admin')
      expect(await store.tokens.find(token)).toEqual({ name: 'a', role: 'admin' })
      expect(await issue('a', {})).toMatchObject({ type: 'made' })
      expect(await issue('c', {})).toMatchObject({ type: 'made' })
      expect(await issue('a', { expiresAt })).toMatchObject({ type: 'made' })
      clock.now += 100
      expect(await store.tokens.hasAny('admin')).toBe(true)
    })

    test('where all admins expire, the last of them is replaced by another one only', async () => {
      const { store, clock } = await open()
      await store.tokens.create({ name: 'a', role: 'admin', expiresAt: clock.now + 100 })
      const issue = (role: 'viewer' | 'admin') =>
        store.tokens.issue({ name: 'a', role, replace: true, actor: 'x', expiresAt: clock.now + 200 })
      expect(await issue('viewer')).toEqual({ type: 'last_admin' })
      expect(await store.tokens.revoke({ name: 'a', actor: 'x' })).toBe('last_admin')
      expect(await issue('admin')).toMatchObject({ type: 'made' })
    })

    test('one that Belay makes itself is in the audit, without itself', async () => {
      const { store, clock } = await open()
      const first = await store.tokens.createFirst({ name: 'admin', role: 'admin', origin: 'here' })
      await store.tokens.createFirst({ name: 'admin', role: 'admin', origin: 'there' })
      const runner = await store.tokens.create({ name: 'runner:a', role: 'runner' })
      const again = await store.tokens.create({ name: 'admin', role: 'admin', expiresAt: clock.now + 100 })
      clock.now += 100
      const last = await store.tokens.createFirst({ name: 'admin', role: 'admin', origin: 'here' })
      const { items } = await store.audit.list({})
      expect(items.reverse().map(({ actor, action, subject, data }) => [actor, action, subject, data])).toEqual([
        ['belay', 'token.create', 'admin', { role: 'admin' }],
        ['belay', 'token.create', 'runner:a', { role: 'runner' }],
        ['belay', 'token.create', 'admin', { role: 'admin', expiresAt: clock.now, replaces: 'admin' }],
        ['belay', 'token.create', 'admin', { role: 'admin' }],
      ])
      if (!first.made || !last.made) throw new Error('not made')
      for (const token of [first.token, runner, again, last.token]) expect(JSON.stringify(items)).not.toContain(token)
    })

    test('the first of a role is made once, however many ask at once; the others hear where it was made', async () => {
      const { store } = await open()
      const ask = (origin: string) => store.tokens.createFirst({ name: 'admin', role: 'admin', origin })
      const [first, ...others] = await Promise.all(['here', 'there', 'elsewhere'].map(ask))
      expect(first?.made === true && (await store.tokens.find(first.token))).toEqual({ name: 'admin', role: 'admin' })
      expect(others).toEqual([1, 2].map(() => ({ made: false, name: 'admin', origin: 'here' })))
    })

    test('one that a person made has no origin; a first one is made again when no valid one is left', async () => {
      const { store, clock } = await open()
      await store.tokens.create({ name: 'admin', role: 'admin', expiresAt: clock.now + 100 })
      const ask = () => store.tokens.createFirst({ name: 'admin', role: 'admin', origin: 'here' })
      expect(await ask()).toStrictEqual({ made: false, name: 'admin' })
      clock.now += 100
      expect(await ask()).toMatchObject({ made: true })
      await store.tokens.create({ name: 'ana', role: 'admin' })
      await store.tokens.revoke({ name: 'admin', actor: 'token:ana' })
      expect(await ask()).toStrictEqual({ made: false, name: 'ana' })
    })

    test('a segment token gives its grant until it expires, and is no other token', async () => {
      const { store, clock } = await open()
      const run = await startRun(store)
      const grant = { runner: 'r1', runId: run.id, epoch: 1, planDigest: 'p', steps: ['unit'], expiresAt: clock.now + 100 }
      const token = await store.tokens.createSegmentToken(grant)
      expect(token).toMatch(/^bls_[\w-]{43}$/)
      expect(await store.tokens.findSegmentGrant(token)).toEqual(grant)
      expect(await store.tokens.find(token)).toBeUndefined()
      clock.now += 100
      expect(await store.tokens.findSegmentGrant(token)).toBeUndefined()
    })
  })
}
