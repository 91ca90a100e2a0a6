import { describe, expect, test } from 'vitest'
import { startRun } from './samples.ts'
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
