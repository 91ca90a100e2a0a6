import { describe, expect, test } from 'vitest'
import type { LeasedItem, Run } from '../../../src/store/store.ts'
import { begin, beginIn, lease, leaseOne, planAndRun } from './outbox-samples.ts'
import { makeTrigger, readAllPages, sha, startRun } from './samples.ts'
import type { OpenStoreUnderTest } from './samples.ts'

/** Who sends which item when, and what becomes of it. */
export function outboxLeaseContract(open: OpenStoreUnderTest): void {
  describe('leases of the outbox', () => {
    test('delivered news never comes back; newer news does, as a new version', async () => {
      const { store, clock, run } = await begin(open)
      const item = await leaseOne(store)
      await store.outbox.done(item)
      await store.outbox.retry(item, { retryAt: clock.now, error: 'late' })
      clock.now += 10_000
      expect(await store.outbox.lease(lease)).toEqual([])
      await store.runs.finish(run.id, { status: 'succeeded', at: 1 }, [])
      expect(await store.outbox.lease(lease)).toMatchObject([{ id: item.id, version: 2, payload: { status: 'succeeded' } }])
    })

    test('what was replaced on its way is not done by the answer to the old, and waits for its lease', async () => {
      const { store, run } = await begin(open)
      const item = await leaseOne(store)
      await store.runs.finish(run.id, { status: 'succeeded', at: 1 }, [])
      expect(await store.outbox.lease({ ...lease, owner: 'b' })).toEqual([])
      await store.outbox.done(item)
      const newer = await leaseOne(store)
      expect(newer).toMatchObject({ version: 2, attempts: 0, payload: { status: 'succeeded' } })
      // The answer to the old one, once more and late: it ends no lease but its own.
      await store.outbox.done(item)
      expect(await store.outbox.lease({ ...lease, owner: 'b' })).toEqual([])
    })

    test('what was put off comes back at its time, counted as tried; what was replaced meanwhile at once', async () => {
      const { store, clock, run } = await begin(open)
      await store.outbox.retry(await leaseOne(store), { retryAt: clock.now + 500, error: 'away' })
      expect(await store.outbox.lease(lease)).toEqual([])
      clock.now += 500
      const again = await leaseOne(store)
      expect(again.attempts).toBe(1)
      await store.runs.finish(run.id, { status: 'failed', at: 1 }, [])
      await store.outbox.retry(again, { retryAt: clock.now + 60_000, error: 'away' })
      expect(await store.outbox.lease(lease)).toMatchObject([{ attempts: 0, payload: { status: 'failed' } }])
    })

    test('a lease that has run out goes to the next who asks', async () => {
      const { store, clock } = await begin(open)
      const item = await leaseOne(store)
      clock.now += 999
      expect(await store.outbox.lease(lease)).toEqual([])
      clock.now += 1
      const again = { ...item, attempts: 1, lease: { owner: 'a', until: clock.now + lease.leaseMs } }
      expect(await store.outbox.lease(lease)).toEqual([again])
    })

    test('who has lost a lease can neither settle nor free what another one is sending', async () => {
      const { store, clock, run } = await begin(open)
      const lost = await leaseOne(store)
      clock.now += lease.leaseMs
      const [held] = await store.outbox.lease({ ...lease, owner: 'b' })
      if (held === undefined) throw new Error('not leased')
      await store.outbox.done(lost)
      await store.outbox.retry(lost, { retryAt: clock.now, error: 'late' })
      expect((await store.outbox.list({})).items).toStrictEqual([{ ...withoutLease(held), attempts: 2, givenUp: false }])
      await store.runs.finish(run.id, { status: 'succeeded', at: 1 }, [])
      await store.outbox.done(lost)
      await store.outbox.retry(lost, { retryAt: clock.now, error: 'late' })
      // Sent now, the newer word might arrive before the older one.
      expect(await store.outbox.lease({ ...lease, owner: 'c' })).toEqual([])
      await store.outbox.done(held)
      expect(await store.outbox.lease({ ...lease, owner: 'c' })).toMatchObject([{ version: 2, payload: { status: 'succeeded' } }])
    })

    test("a lease that has run out and is no one else's is still settled by who had it", async () => {
      const { store, clock } = await begin(open)
      const late = await leaseOne(store)
      clock.now += lease.leaseMs
      await store.outbox.done(late)
      expect(await store.outbox.lease(lease)).toEqual([])
    })

    test('an earlier lease of the same sender is another lease', async () => {
      const { store, clock } = await begin(open)
      const earlier = await leaseOne(store)
      clock.now += lease.leaseMs
      const later = await leaseOne(store)
      await store.outbox.done(earlier)
      expect((await store.outbox.list({})).items).toMatchObject([{ id: later.id, givenUp: false }])
    })

    test('what was never tried goes before what was, and what was tried less before what was tried more', async () => {
      const { store, clock } = await open()
      const tellOf = async (name: string) => {
        clock.now += 1
        await planAndRun(store, await startRun(store, { trigger: makeTrigger({ sha: sha(name) }) }))
      }
      const tryAll = async () => {
        for (const item of await store.outbox.lease(lease))
          await store.outbox.retry(item, { retryAt: clock.now, error: 'silent' })
      }
      for (const name of ['1', '2']) await tellOf(name)
      await tryAll()
      await tryAll()
      await tellOf('3')
      await tryAll()
      await tellOf('4')
      const order: (readonly [number, number])[] = []
      for (const _ of ['1', '2', '3', '4']) {
        const { payload, attempts } = await leaseOne(store, 1)
        order.push([payload.runNumber, attempts])
      }
      expect(order).toEqual([
        [4, 0],
        [3, 1],
        [1, 3],
        [2, 3],
      ])
    })

    test('what waits and what was given up is listed, newest first; what was delivered is not', async () => {
      const { store, clock } = await open()
      const runs: Run[] = []
      for (const name of ['1', '2', '3', '4']) {
        clock.now += 1
        const run = await startRun(store, { trigger: makeTrigger({ sha: sha(name) }) })
        runs.push(run)
        await planAndRun(store, run)
      }
      const [delivered, refused, away] = await store.outbox.lease({ ...lease, limit: 3 })
      if (delivered === undefined || refused === undefined || away === undefined) throw new Error('too few')
      await store.outbox.done(delivered)
      await store.outbox.done(refused, 'the token is not valid')
      await store.outbox.retry(away, { retryAt: clock.now + 500, error: 'away' })
      const { items, pages } = await readAllPages((cursor) => store.outbox.list({ limit: 2, cursor }))
      expect(items.map(({ payload, givenUp, error }) => [payload.runNumber, givenUp, error])).toEqual([
        [4, false, undefined],
        [3, false, 'away'],
        [2, true, 'the token is not valid'],
      ])
      expect(pages).toBe(2)
      clock.now += 100
      expect(await store.outbox.lease(lease)).toHaveLength(1)
    })

    test('waiting ends with the write that makes one due, at once when one is, and with its time', async () => {
      const { store, clock } = await open()
      const waiting = store.outbox.wait(60_000)
      await beginIn({ store, clock })
      await waiting
      await store.outbox.wait(60_000)
      await store.outbox.done(await leaseOne(store))
      await store.outbox.wait(1)
      expect(await store.outbox.lease(lease)).toEqual([])
    })
  })
}

function withoutLease({ lease: _, ...item }: LeasedItem) {
  return item
}
