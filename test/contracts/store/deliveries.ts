import { describe, expect, test } from 'vitest'
import type { DeliveryAnswer } from '../../../src/domain/delivery.ts'
import type { Store } from '../../../src/store/store.ts'
import { makeDelivery, makeTrigger, readAllPages, sha, startRun } from './samples.ts'
import type { OpenStoreUnderTest } from './samples.ts'

export function deliveryContract(open: OpenStoreUnderTest): void {
  polledDeliveryContract(open)

  describe('deliveries', () => {
    test('an accepted trigger is a delivery, a queued run and its start command', async () => {
      const { store } = await open()
      const accepted = await store.deliveries.accept(makeDelivery('d1'))
      const [run] = (await store.runs.list({})).items
      const [delivery] = (await store.deliveries.list({})).items
      const [command] = await store.commands.lease({ owner: 'a', leaseMs: 1_000, limit: 10 })
      expect(run).toMatchObject({
        number: 1,
        project: 'shop',
        status: 'queued',
        epoch: 0,
        undo: [],
        sequence: delivery?.sequence,
      })
      expect(command).toEqual({ id: command?.id, runId: run?.id, kind: 'start', round: 0, attempts: 0 })
      expect(accepted).toEqual({
        type: 'accepted',
        answer: { delivery: delivery?.id, run: { id: run?.id, number: 1, url: `http://belay.test/runs/${String(run?.id)}` } },
      })
      expect(delivery).toMatchObject({ deliveryId: 'd1', forge: 'github', event: 'push', answer: answerOf(accepted) })
    })

    test('an ignored one is remembered with its reason and starts nothing', async () => {
      const { store } = await open()
      const accepted = await store.deliveries.accept(makeDelivery('d1', { event: 'ping', parsed: { ignored: 'a ping' } }))
      expect(accepted).toEqual({ type: 'ignored', answer: { ignored: 'a ping' } })
      expect((await store.deliveries.list({})).items).toMatchObject([{ event: 'ping', answer: { ignored: 'a ping' } }])
      expect((await store.runs.list({})).items).toEqual([])
    })

    test('the same delivery again gets the first answer and starts nothing', async () => {
      const { store } = await open()
      const first = await store.deliveries.accept(makeDelivery('d1'))
      const again = await store.deliveries.accept(makeDelivery('d1', { runUrl: () => 'http://elsewhere.test' }))
      expect(again).toEqual({ type: 'duplicate', answer: answerOf(first) })
      expect((await store.runs.list({})).items).toHaveLength(1)
    })

    test('the same delivery twice at the same moment is accepted once', async () => {
      const { store } = await open()
      const both = await Promise.all([store.deliveries.accept(makeDelivery('d1')), store.deliveries.accept(makeDelivery('d1'))])
      expect(both.map(({ type }) => type)).toEqual(['accepted', 'duplicate'])
    })

    test('the same id with other bytes is a conflict', async () => {
      const { store } = await open()
      await store.deliveries.accept(makeDelivery('d1'))
      expect(await store.deliveries.accept(makeDelivery('d1', { bodyDigest: 'other' }))).toEqual({ type: 'conflict' })
    })

    test('the same id in another project is another delivery', async () => {
      const { store } = await open()
      await store.deliveries.accept(makeDelivery('d1'))
      expect(await store.deliveries.accept(makeDelivery('d1', { project: 'blog' }))).toMatchObject({ type: 'accepted' })
    })

    test('run numbers count up within a project, the sequence over all', async () => {
      const { store } = await open()
      for (const [id, project] of [
        ['a', 'shop'],
        ['b', 'blog'],
        ['c', 'shop'],
      ] as const) {
        await store.deliveries.accept(makeDelivery(id, { project }))
      }
      const runs = (await store.runs.list({})).items.reverse()
      expect(runs.map((run) => [run.project, run.number, run.sequence])).toEqual([
        ['shop', 1, 1],
        ['blog', 1, 2],
        ['shop', 2, 3],
      ])
    })

    test('of 200 at once each is accepted with a number of its own', async () => {
      const { store } = await open()
      const ids = Array.from({ length: 200 }, (_, index) => `d${String(index)}`)
      const accepted = await Promise.all(ids.map((id) => store.deliveries.accept(makeDelivery(id))))
      const numbers = accepted.map((one) => (one.type === 'accepted' && 'run' in one.answer ? one.answer.run.number : 0))
      expect(numbers.sort((a, b) => a - b)).toEqual(ids.map((_, index) => index + 1))
      expect(await store.commands.lease({ owner: 'a', leaseMs: 1_000, limit: 500 })).toHaveLength(200)
    })

    test('somebody else writing to the same data neither loses nor repeats a number', async () => {
      const { store, writeFromElsewhere } = await open()
      const elsewhere = writeFromElsewhere(100)
      for (let index = 0; index < 50; index += 1) await store.deliveries.accept(makeDelivery(`d${String(index)}`))
      await elsewhere
      await store.deliveries.accept(makeDelivery('last'))
      expect((await store.deliveries.list({ limit: 1 })).items[0]?.sequence).toBe(151)
    })

    test('on a full disk it is refused as unavailable, and nothing is half-written', async () => {
      const { store, reopen } = await open({ databasePages: 90 })
      const ids = await fill(store)
      expect(ids.length).toBeGreaterThan(0)
      const refused = makeDelivery(`d${String(ids.length)}`)
      await expect(store.deliveries.accept(refused)).rejects.toMatchObject({ code: 'unavailable', retryable: true })
      const again = await reopen()
      expect(await countAll(again)).toEqual({ deliveries: ids.length, runs: ids.length, commands: ids.length })
      expect(await again.deliveries.accept(refused)).toMatchObject({
        type: 'accepted',
        answer: { run: { number: ids.length + 1 } },
      })
    })

    test('a group that meets a full disk is refused or accepted as a whole, each caller told the truth', async () => {
      const { store, reopen } = await open({ databasePages: 300 })
      const ids = Array.from({ length: 1_000 }, (_, index) => `d${String(index)}`)
      const results = await Promise.allSettled(ids.map((id) => store.deliveries.accept(makeDelivery(id))))
      const accepted = results.filter(({ status }) => status === 'fulfilled').length
      expect(accepted).toBeGreaterThan(0)
      expect(accepted).toBeLessThan(1_000)
      expect(await countAll(await reopen())).toEqual({ deliveries: accepted, runs: accepted, commands: accepted })
    })

    test('are listed newest first, page by page, by project', async () => {
      const { store } = await open()
      for (const id of ['a', 'b', 'c', 'd', 'e']) await store.deliveries.accept(makeDelivery(id))
      await store.deliveries.accept(makeDelivery('x', { project: 'blog' }))
      const { items, pages } = await readAllPages((cursor) => store.deliveries.list({ project: 'shop', limit: 2, cursor }))
      expect(items.map(({ deliveryId }) => deliveryId)).toEqual(['e', 'd', 'c', 'b', 'a'])
      expect(pages).toBe(3)
    })

    test('a cursor that is none, or a limit that is none, is refused', async () => {
      const { store } = await open()
      await expect(store.deliveries.list({ cursor: 'no' })).rejects.toMatchObject({ code: 'invalid_input' })
      await expect(store.deliveries.list({ limit: 0 })).rejects.toMatchObject({ code: 'invalid_input' })
    })

    test('are still there, and still duplicates, after a restart; the store is still itself', async () => {
      const { store, reopen } = await open()
      const first = await store.deliveries.accept(makeDelivery('d1'))
      const { id } = store
      const again = await reopen()
      expect(again.id).toBe(id)
      expect(await again.deliveries.accept(makeDelivery('d1'))).toEqual({ type: 'duplicate', answer: answerOf(first) })
    })
  })
}

/** A project with hooks and polling. */
function polledDeliveryContract(open: OpenStoreUnderTest): void {
  describe('deliveries of a project that is polled as well', () => {
    const pushOf = (name: string) => ({ branch: 'main', sha: sha(name) })
    const hear = (store: Store, name: string, deliveryId = `hook of ${name}`) =>
      store.deliveries.accept(makeDelivery(deliveryId, { parsed: { trigger: makeTrigger({ sha: sha(name) }) } }))
    const see = (store: Store, name: string, known?: string) => {
      const trigger = makeTrigger({ source: 'poll', sha: sha(name) })
      return store.polls.seen({
        project: 'shop',
        ...pushOf(name),
        trigger,
        ...(known === undefined ? {} : { known: sha(known) }),
      })
    }
    const listRuns = async (store: Store) =>
      (await store.runs.list({})).items.reverse().map(({ trigger }) => ({ source: trigger.source, sha: trigger.sha }))

    test('a push that polling saw before its hook is one run, and that is the answer to the hook', async () => {
      const { store } = await open()
      await store.polls.seen({ project: 'shop', ...pushOf('0') })
      await see(store, '1', '0')
      const [run] = (await store.runs.list({})).items
      const accepted = await hear(store, '1')
      expect(accepted).toMatchObject({ type: 'accepted', answer: { run: { id: run?.id, number: 1 } } })
      expect(await hear(store, '1')).toEqual({ type: 'duplicate', answer: answerOf(accepted) })
      expect((await store.deliveries.list({})).items).toMatchObject([{ deliveryId: 'hook of 1', answer: answerOf(accepted) }])
      expect(await store.commands.lease({ owner: 'a', leaseMs: 1_000, limit: 10 })).toMatchObject([{ runId: run?.id }])
      expect(await listRuns(store)).toEqual([{ source: 'poll', sha: sha('1') }])
    })

    test('a push whose hook came first is one run, whether polling looked before or sees it only now', async () => {
      const { store } = await open()
      await store.polls.seen({ project: 'shop', ...pushOf('0') })
      await hear(store, '1')
      await see(store, '1', '0')
      expect(await store.polls.heads('shop')).toEqual({ main: sha('1') })
      await hear(store, '2')
      await see(store, '2', '1')
      expect(await listRuns(store)).toEqual(['1', '2'].map((name) => ({ source: 'hook', sha: sha(name) })))
    })

    test('the run that polling started is the answer to one delivery only: what comes after it is another push', async () => {
      const { store } = await open()
      await store.polls.seen({ project: 'shop', ...pushOf('0') })
      await see(store, '1', '0')
      await hear(store, '1')
      await hear(store, '1', 'the branch came back')
      expect(await listRuns(store)).toEqual(['poll', 'hook'].map((source) => ({ source, sha: sha('1') })))
    })

    test('a run of a head that the branch has left since is not the answer to a late hook of it', async () => {
      const { store } = await open()
      await store.polls.seen({ project: 'shop', ...pushOf('0') })
      await see(store, '1', '0')
      await see(store, '2', '1')
      await hear(store, '1')
      await hear(store, '2')
      expect((await listRuns(store)).map((run) => run.sha)).toEqual([sha('1'), sha('2'), sha('1'), sha('2')])
    })

    test('a run that a person asked for is neither the answer to a hook nor in the way of one', async () => {
      const { store } = await open()
      await store.polls.seen({ project: 'shop', ...pushOf('1') })
      await startRun(store, { trigger: makeTrigger({ source: 'api', sha: sha('1') }) })
      await hear(store, '1')
      await see(store, '2', '1')
      await startRun(store, { trigger: makeTrigger({ source: 'api', sha: sha('2') }) })
      expect(await hear(store, '2')).toMatchObject({ answer: { run: { number: 3 } } })
      expect((await listRuns(store)).map(({ source }) => source)).toEqual(['api', 'hook', 'poll', 'api'])
    })

    test('a push that was told to be skipped is no news to polling; what comes after it is', async () => {
      const { store } = await open()
      await store.polls.seen({ project: 'shop', ...pushOf('0') })
      const skip = (name: string, branch: string) =>
        store.deliveries.accept(
          makeDelivery(`skip of ${name}`, { parsed: { ignored: '[skip ci]', head: { branch, sha: sha(name) } } }),
        )
      expect(await skip('1', 'main')).toEqual({ type: 'ignored', answer: { ignored: '[skip ci]' } })
      await skip('docs', 'docs')
      expect(await store.polls.heads('shop')).toEqual({ main: sha('1'), docs: sha('docs') })
      // A look that began before the hook came.
      await see(store, '1', '0')
      expect(await listRuns(store)).toEqual([])
      await see(store, '2', '1')
      // Delivered again, it tells of nothing that is new.
      expect(await skip('1', 'main')).toMatchObject({ type: 'duplicate' })
      expect(await store.polls.heads('shop')).toMatchObject({ main: sha('2') })
      expect(await listRuns(store)).toEqual([{ source: 'poll', sha: sha('2') }])
    })

    test('what is ignored without a head leaves the heads as they were', async () => {
      const { store } = await open()
      await store.polls.seen({ project: 'shop', ...pushOf('0') })
      await store.deliveries.accept(makeDelivery('d1', { parsed: { ignored: 'the branch was deleted' } }))
      expect(await store.polls.heads('shop')).toEqual({ main: sha('0') })
    })

    test('in a project that was never polled no head is noted: the first look must find everything there unknown', async () => {
      const { store } = await open()
      await hear(store, '1')
      const head = { branch: 'main', sha: sha('skipped') }
      await store.deliveries.accept(makeDelivery('skip', { parsed: { ignored: '[skip ci]', head } }))
      expect(await store.polls.heads('shop')).toEqual({})
      await store.polls.seen({ project: 'shop', branch: 'docs', sha: sha('0') })
      await hear(store, '2')
      expect(await store.polls.heads('shop')).toEqual({ docs: sha('0'), main: sha('2') })
    })
  })
}

function answerOf(accepted: Awaited<ReturnType<Store['deliveries']['accept']>>): DeliveryAnswer {
  if (accepted.type === 'conflict') throw new Error('a conflict has no answer')
  return accepted.answer
}

/** Accepts deliveries until one is refused; the ids that were taken. */
async function fill(store: Store): Promise<string[]> {
  for (const ids: string[] = []; ;) {
    const id = `d${String(ids.length)}`
    try {
      await store.deliveries.accept(makeDelivery(id))
    } catch {
      // Whatever it was, the caller asks for the same once more and looks at what comes.
      return ids
    }
    ids.push(id)
  }
}

async function countAll(store: Store) {
  const deliveries = await readAllPages((cursor) => store.deliveries.list({ cursor, limit: 200 }))
  const runs = await store.runs.listOpen()
  const commands = await store.commands.lease({ owner: 'count', leaseMs: 1, limit: 10_000 })
  return { deliveries: deliveries.items.length, runs: runs.length, commands: commands.length }
}
