import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import {
  ana,
  collect,
  digestOf,
  makeDelivery,
  makeEvent,
  makeTrigger,
  sha,
  startRun,
  streamOf,
} from '../../../../test/contracts/store/samples.ts'
import { prepareManyStores } from '../../../../test/helpers/many-stores.ts'
import type { ManyStores } from '../../../../test/helpers/many-stores.ts'
import { postgresOfFile } from '../../../../test/helpers/postgres.ts'
import type { Command, LogKey, Store } from '../../store.ts'

const postgresHere = postgresOfFile()
/** Longer than a test may take: who is not woken fails it. */
const long = 600_000

let many: ManyStores

beforeEach(async () => {
  many = await prepareManyStores(await (await postgresHere()).createDatabase())
})

// There is none if PostgreSQL is missing.
afterEach(() => (many as ManyStores | undefined)?.cleanup())

async function openTwo(): Promise<[Store, Store]> {
  const [a, b] = await many.open(2)
  if (a === undefined || b === undefined) throw new Error('asked for two')
  return [a, b]
}

describe('several stores on one database', () => {
  test('that open it at once while it is empty agree on one store', async () => {
    const stores = await many.open(4)
    expect(new Set(stores.map(({ id }) => id)).size).toBe(1)
    await Promise.all(stores.map((store) => store.ping()))
  })

  test('the same 200 deliveries posted to both at once are 200 runs; every second answer says that it is known', async () => {
    const both = await openTwo()
    const ids = Array.from({ length: 200 }, (_, index) => `d${String(index)}`)
    const accepted = await Promise.all(
      both.flatMap((store, index) =>
        // In another order to each, so that neither merely follows the other.
        (index === 0 ? ids : ids.toReversed()).map((id) => store.deliveries.accept(makeDelivery(id))),
      ),
    )
    const count = (type: string) => accepted.filter((one) => one.type === type).length
    expect([count('accepted'), count('duplicate')]).toEqual([200, 200])
    const runs = await both[0].runs.listOpen()
    expect(runs.map(({ number }) => number)).toEqual(ids.map((_, index) => index + 1))
    expect(runs.map(({ sequence }) => sequence)).toEqual(ids.map((_, index) => index + 1))
    expect(new Set(accepted.map((one) => ('answer' in one && 'run' in one.answer ? one.answer.run.id : '')))).toEqual(
      new Set(runs.map(({ id }) => id)),
    )
  })

  test('a command goes to one of those who ask at once, and never before the one ahead of it in its run', async () => {
    const both = await openTwo()
    many.now = 1_000
    const runs = await Promise.all(Array.from({ length: 40 }, (_, index) => startRun(both[index % 2] ?? both[0])))
    await both[0].commands.lease({ owner: 'dies', leaseMs: 10, limit: 40 })
    await Promise.all(runs.map(({ id }, index) => (both[index % 2] ?? both[0]).runs.cancel({ runId: id, actor: ana })))
    many.now += 10
    const leased: Command[] = []
    const started = new Set<string>()
    const early: Command[] = []
    const dispatch = async (store: Store, owner: string) => {
      for (;;) {
        const commands = await store.commands.lease({ owner, leaseMs: long, limit: 3 })
        leased.push(...commands)
        for (const command of commands) {
          if (command.kind === 'start') started.add(command.runId)
          else if (!started.has(command.runId)) early.push(command)
          await store.commands.done(command.id)
        }
        if (started.size === 40 && leased.length >= 80) return
      }
    }
    await Promise.all([...both, ...both].map((store, index) => dispatch(store, `owner ${String(index)}`)))
    expect(early).toEqual([])
    expect(leased).toHaveLength(80)
    expect(new Set(leased.map(({ id }) => id)).size).toBe(80)
  })

  test('a start is either carried out or withdrawn by a cancel at the same moment, never both', async () => {
    const [a, b] = await openTwo()
    for (let round = 0; round < 30; round += 1) {
      const { id } = await startRun(a)
      const leaseAll = () => b.commands.lease({ owner: 'b', leaseMs: long, limit: 10 })
      const [run, leased] = await Promise.all([a.runs.cancel({ runId: id, actor: ana }), leaseAll()])
      // What was skipped while the cancel looked at it is still owed, if anything is.
      const starts = [...leased, ...(await leaseAll())].filter(({ runId, kind }) => runId === id && kind === 'start')
      expect([run.status, starts.length]).toEqual(run.status === 'cancelled' ? ['cancelled', 0] : ['queued', 1])
    }
  })

  test('news of an outbox goes to one of those who ask at once', async () => {
    const both = await openTwo()
    for (let index = 0; index < 30; index += 1) {
      const run = await startRun(both[0], { project: `p${String(index)}` })
      await both[index % 2]?.runs.finish(run.id, { status: 'failed', at: 1 }, [])
    }
    const leases = [...both, ...both].flatMap((store) =>
      Array.from({ length: 10 }, (_, index) => store.outbox.lease({ owner: String(index), leaseMs: long, limit: 2 })),
    )
    const items = (await Promise.all(leases)).flat()
    const rest = await both[0].outbox.lease({ owner: 'last', leaseMs: long, limit: 100 })
    expect([...items, ...rest].map(({ id }) => id).sort((x, y) => x - y)).toEqual(Array.from({ length: 30 }, (_, n) => n + 1))
  })

  test('of runs of one commit that end at once through both the newest is told', async () => {
    const both = await openTwo()
    const runs = await Promise.all(Array.from({ length: 20 }, () => startRun(both[0])))
    await Promise.all(
      runs.map(({ id, number }) => (both[number % 2] ?? both[0]).runs.finish(id, { status: 'failed', at: 1 }, [])),
    )
    const news = await both[0].outbox.lease({ owner: 'a', leaseMs: long, limit: 100 })
    expect(news.map(({ payload }) => payload.runNumber)).toEqual([20])
  })

  test('a run without a name and a newer one with a name that end at once leave no word of the older one', async () => {
    const [a, b] = await openTwo()
    for (let round = 0; round < 20; round += 1) {
      const trigger = makeTrigger({ sha: sha(`round ${String(round)}`) })
      const older = await startRun(a, { trigger })
      const newer = await a.runs.start({ project: 'shop', trigger, key: `k${String(round)}`, pipeline: 'release' })
      await Promise.all([
        a.runs.finish(older.id, { status: 'errored', at: 1 }, []),
        b.runs.finish(newer.id, { status: 'succeeded', at: 1 }, []),
      ])
    }
    const news = await a.outbox.lease({ owner: 'a', leaseMs: long, limit: 100 })
    expect(news.filter(({ payload }) => payload.pipeline !== undefined)).toHaveLength(20)
    expect(new Set(news.map(({ payload }) => payload.status))).toEqual(new Set(['succeeded']))
  })

  test('events written through both at once have sequence numbers without gap, and the same event is written once', async () => {
    const both = await openTwo()
    const { id } = await startRun(both[0])
    const events = Array.from({ length: 30 }, (_, n) => makeEvent(n, { type: 'waiting', for: String(n) }))
    await Promise.all(both.flatMap((store) => events.map((event) => store.runs.record(id, [event]))))
    const written = await both[1].runs.events(id, { after: 0, limit: 100 })
    expect(written.map(({ seq }) => seq)).toEqual(events.map((_, index) => index + 1))
    expect(written.map(({ n }) => n).sort((x, y) => x - y)).toEqual(events.map(({ n }) => n))
  })

  test('a key, a sibling, a release, a polled head and a first token are made once, asked for through both at once', async () => {
    const both = await openTwo()
    const started = await Promise.all(both.map((store) => startRun(store, { key: 'k' })))
    const run = started[0]
    expect(started[1]).toEqual(run)
    if (run === undefined) throw new Error('no run')
    await Promise.all(both.map((store) => store.runs.startSiblings({ runId: run.id, pipelines: ['docs'] })))
    const { trigger } = run
    await Promise.all(both.map((store) => store.polls.seen({ project: 'shop', branch: 'main', sha: trigger.sha, trigger })))
    expect((await both[0].runs.listOpen()).map(({ number }) => number)).toEqual([1, 2, 3])
    const image = { repository: 'shop/app', digest: digestOf('1') }
    const release = { project: 'shop', runId: run.id, sha: trigger.sha, step: 's', image, artifacts: [] }
    const releases = await Promise.all(both.map((store) => store.releases.create(release)))
    expect(releases[0]).toEqual(releases[1])
    const tokens = await Promise.all(
      both.map((store) => store.tokens.createFirst({ name: 'admin', role: 'admin', origin: 'here' })),
    )
    expect(tokens.filter(({ made }) => made)).toHaveLength(1)
  })
})

describe('a hook and polling that tell of the same push at the same moment', () => {
  test('through two stores, are one run', async () => {
    const [a, b] = await openTwo()
    const pushes = Array.from({ length: 30 }, (_, n) => makeTrigger({ sha: sha(`push ${String(n)}`) }))
    let known = sha('before')
    await a.polls.seen({ project: 'shop', branch: 'main', sha: known })
    for (const [n, trigger] of pushes.entries()) {
      const polled = { ...trigger, source: 'poll' as const }
      const [accepted] = await Promise.all([
        a.deliveries.accept(makeDelivery(`d${String(n)}`, { parsed: { trigger } })),
        b.polls.seen({ project: 'shop', branch: 'main', sha: trigger.sha, trigger: polled, known }),
      ])
      expect(accepted).toMatchObject({ type: 'accepted', answer: { run: { number: n + 1 } } })
      known = trigger.sha
    }
    expect((await a.runs.listOpen()).map((run) => run.trigger.sha)).toEqual(pushes.map((push) => push.sha))
  })
})

describe('what one store commits wakes who waits at another', () => {
  test('for commands', async () => {
    const [a, b] = await openTwo()
    const waiting = a.commands.wait(long)
    await b.deliveries.accept(makeDelivery('d1'))
    await waiting
    expect(await a.commands.lease({ owner: 'a', leaseMs: 1, limit: 1 })).toHaveLength(1)
  })

  test('for events of a run', async () => {
    const [a, b] = await openTwo()
    const { id } = await startRun(a)
    const waiting = a.runs.waitForEvents(id, { after: 0, timeoutMs: long })
    await b.runs.record(id, [makeEvent(0, { type: 'waiting', for: 'a' })])
    await waiting
    expect(await a.runs.events(id, { after: 0, limit: 1 })).toHaveLength(1)
  })

  test('for a log to grow, however long the name of its step', async () => {
    const [a, b] = await openTwo()
    const { id } = await startRun(a)
    for (const step of ['unit', 's'.repeat(9_000)]) {
      const key = { runId: id, step, attempt: 1, epoch: 1, part: 'step' as const }
      const waiting = a.logs.waitForGrowth(key, { size: 0, timeoutMs: long })
      await b.logs.append(key, { offset: 0, bytes: Buffer.from('x'), final: false })
      await waiting
    }
    expect(await a.logs.list(id, 'unit')).toHaveLength(1)
  })

  test('for the outbox', async () => {
    const [a, b] = await openTwo()
    const run = await startRun(a)
    const waiting = a.outbox.wait(long)
    await b.runs.finish(run.id, { status: 'failed', at: 1 }, [])
    await waiting
    expect(await a.outbox.lease({ owner: 'a', leaseMs: 1, limit: 1 })).toHaveLength(1)
  })
})

describe('files that several stores share', () => {
  const content = Array.from({ length: 200 }, (_, line) => `line ${String(line)}\n`).join('')

  /** As a runner does that reaches one server now and the other then. */
  async function ship(store: Store, key: LogKey, size: number): Promise<void> {
    for (let end = 0; end < content.length;) {
      const bytes = Buffer.from(content.slice(end, end + size))
      end = (await store.logs.append(key, { offset: end, bytes, final: false })).end
    }
  }

  test('a log that both append to, in turn and at once, has every byte once', async () => {
    const [a, b] = await openTwo()
    const run = await startRun(a)
    const inTurn: LogKey = { runId: run.id, step: 'unit', attempt: 1, epoch: 1, part: 'step' }
    for (const [index, offset] of [0, 500, 1_000].entries()) {
      const bytes = Buffer.from(content.slice(offset, offset + 500))
      const appended = await (index % 2 === 0 ? a : b).logs.append(inTurn, { offset, bytes, final: false })
      expect(appended).toEqual({ end: offset + 500, gap: false, truncated: false })
    }
    expect(String(await b.logs.read(inTurn, { offset: 0, length: 5_000 }))).toBe(content.slice(0, 1_500))
    const atOnce = { ...inTurn, step: 'build' }
    await Promise.all([ship(a, atOnce, 70), ship(b, atOnce, 110), ship(a, atOnce, 30)])
    expect(String(await b.logs.read(atOnce, { offset: 0, length: 5_000 }))).toBe(content)
    expect((await a.logs.list(run.id, 'build')).map(({ sizeBytes }) => sizeBytes)).toEqual([content.length])
  })

  test('of two appends at the same place at once the second is an overlap, never a mixture', async () => {
    const [a, b] = await openTwo()
    const run = await startRun(a)
    const keys = Array.from({ length: 40 }, (_, index): LogKey => {
      return { runId: run.id, step: `s${String(index)}`, attempt: 1, epoch: 1, part: 'step' }
    })
    for (const key of keys) {
      const appends = [
        a.logs.append(key, { offset: 0, bytes: Buffer.from('aaaa'), final: false }),
        b.logs.append(key, { offset: 0, bytes: Buffer.from('bbbbbb'), final: false }),
      ]
      const [first] = await Promise.all(appends)
      const written = String(await a.logs.read(key, { offset: 0, length: 100 }))
      expect(written).toBe(first?.end === 4 ? 'aaaabb' : 'bbbbbb')
    }
  })

  test('more logs than connections grow at once', async () => {
    const both = await openTwo()
    const run = await startRun(both[0])
    const keys = Array.from({ length: 40 }, (_, index): LogKey => {
      return { runId: run.id, step: `s${String(index)}`, attempt: 1, epoch: 1, part: 'step' }
    })
    await Promise.all(keys.map((key, index) => ship(both[index % 2] ?? both[0], key, 600)))
    for (const key of keys) expect(String(await both[0].logs.read(key, { offset: 0, length: 5_000 }))).toBe(content)
  })

  test('a blob that both put at once is whole, and each can read it', async () => {
    const both = await openTwo()
    const digest = digestOf('hello')
    await Promise.all(both.map((store) => store.blobs.put(digest, streamOf('hel', 'lo'))))
    for (const { blobs } of both) expect(String(await collect(await blobs.read(digest)))).toBe('hello')
  })
})
