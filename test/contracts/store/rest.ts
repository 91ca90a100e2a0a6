import { describe, expect, test } from 'vitest'
import { digestOf, makeReleaseRef, makeTrigger, readAllPages, sha, startRun } from './samples.ts'
import type { OpenStoreUnderTest } from './samples.ts'

export function restContract(open: OpenStoreUnderTest): void {
  describe('releases', () => {
    test('are numbered within the project; (run, step) makes one only', async () => {
      const { store, clock } = await open()
      const run = await startRun(store)
      const { project, sha: commit, image, runId } = makeReleaseRef(run)
      const artifacts = [{ path: 'dist/a.js', digest: digestOf('a'), sizeBytes: 1, executable: false }]
      const wanted = { project, sha: commit, image, runId, artifacts, step: 'candidate' }
      const first = await store.releases.create(wanted)
      const expected = {
        id: first.id,
        project,
        number: 1,
        runId,
        sha: commit,
        version: '1',
        image,
        artifacts,
        createdAt: clock.now,
      }
      expect(first).toEqual(expected)
      expect(await store.releases.create({ ...wanted, version: 'other' })).toEqual(first)
      expect(await store.releases.create({ ...wanted, step: 'second', version: 'v2' })).toMatchObject({
        number: 2,
        version: 'v2',
      })
      expect(await store.releases.find(first.id)).toEqual(first)
      expect(await store.releases.find('none')).toBeUndefined()
    })

    test('are found by number and by digest within their project; of one image the newest', async () => {
      const { store } = await open()
      const create = async (project: string, image: string) => {
        const run = await startRun(store, { project })
        const wanted = { repository: 'main/app', digest: digestOf(image), registry: 'main' }
        return store.releases.create({
          project,
          sha: run.trigger.sha,
          image: wanted,
          runId: run.id,
          artifacts: [],
          step: 'release',
        })
      }
      const first = await create('shop', 'a')
      await create('shop', 'b')
      const again = await create('shop', 'a')
      const other = await create('blog', 'c')
      expect(await store.releases.findByNumber('shop', 1)).toEqual(first)
      expect(await store.releases.findByNumber('blog', 1)).toEqual(other)
      expect(await store.releases.findByNumber('blog', 2)).toBeUndefined()
      expect(await store.releases.findByDigest('shop', digestOf('a'))).toEqual(again)
      expect(await store.releases.findByDigest('shop', digestOf('c'))).toBeUndefined()
      expect(await store.releases.findByDigest('blog', digestOf('c'))).toEqual(other)
      for (const pattern of ['%', 'sha256:%', `sha256:${'_'.repeat(64)}`])
        expect(await store.releases.findByDigest('shop', pattern)).toBeUndefined()
    })

    test('are listed newest first, page by page, by project', async () => {
      const { store, clock } = await open()
      for (const project of ['shop', 'shop', 'blog', 'shop']) {
        clock.now += 1
        const run = await startRun(store, { project })
        const { image } = makeReleaseRef(run)
        await store.releases.create({ project, sha: run.trigger.sha, image, runId: run.id, artifacts: [], step: 'release' })
      }
      const { items } = await readAllPages((cursor) => store.releases.list({ project: 'shop', limit: 1, cursor }))
      expect(items.map(({ number }) => number)).toEqual([3, 2, 1])
    })
  })

  describe('the key of payloads', () => {
    test('is replaced by whoever knows the one before, and by nobody else', async () => {
      const { store, reopen } = await open()
      expect(await store.notePayloadKey({ knows: [] })).toEqual({})
      expect(await store.notePayloadKey({ encrypts: 'a', knows: ['a'] })).toEqual({})
      expect(await store.notePayloadKey({ knows: [] })).toEqual({ missing: 'a' })
      expect(await store.notePayloadKey({ encrypts: 'b', knows: ['b'] })).toEqual({ missing: 'a' })
      expect(await store.notePayloadKey({ encrypts: 'b', knows: ['b', 'a'] })).toEqual({})
      expect(await (await reopen()).notePayloadKey({ encrypts: 'a', knows: ['a'] })).toEqual({ missing: 'b' })
    })
  })

  describe('audit, presence, polls', () => {
    test('audit entries are listed newest first, in the order in which they were written', async () => {
      const { store, clock } = await open()
      for (const action of ['a', 'b', 'c']) await store.audit.write({ actor: 'ana', action, subject: 's' })
      await store.audit.write({ actor: 'ana', action: 'd', subject: 's', data: { step: 'unit' } })
      const { items } = await readAllPages((cursor) => store.audit.list({ limit: 3, cursor }))
      expect(items.map(({ action }) => action)).toEqual(['d', 'c', 'b', 'a'])
      expect(items[0]).toEqual({ seq: 4, at: clock.now, actor: 'ana', action: 'd', subject: 's', data: { step: 'unit' } })
    })

    test('a runner is known by its newest report', async () => {
      const { store } = await open()
      const report = { runner: 'r1', slots: 2, labels: ['linux'], token: 'r1' }
      await store.presence.report({ ...report, busy: 0, at: 10 })
      await store.presence.report({ ...report, busy: 1, at: 20 })
      await store.presence.report({ ...report, busy: 2, at: 15 })
      expect(await store.presence.list()).toEqual([
        { runner: 'r1', slots: 2, busy: 1, labels: ['linux'], seenAt: 20, active: true, since: 10 },
      ])
    })

    test('each change of a runner between ACTIVE and INACTIVE is one row of the audit', async () => {
      const { store, clock } = await open()
      const report = { runner: 'r1', slots: 2, busy: 0, labels: [], token: 'r1' }
      const told = async () => (await store.audit.list({})).items.map(({ at, actor, action }) => [at, actor, action]).toReversed()
      await store.presence.report({ ...report, at: 10 })
      await store.presence.report({ ...report, at: 20 })
      expect(await store.presence.expire(20)).toEqual([])
      clock.now = 40
      const noticed = await Promise.all([store.presence.expire(21), store.presence.expire(21)])
      expect(noticed.flat()).toEqual(['r1'])
      expect(await store.presence.list()).toMatchObject([{ active: false, since: 40, seenAt: 20 }])
      await store.presence.report({ ...report, at: 50 })
      clock.now = 60
      expect(await store.presence.expire(51)).toEqual(['r1'])
      expect(await store.presence.list()).toMatchObject([{ active: false, since: 60 }])
      expect(await told()).toEqual([
        [10, 'runner/r1', 'runner.active'],
        [40, 'runner/r1', 'runner.inactive'],
        [50, 'runner/r1', 'runner.active'],
        [60, 'runner/r1', 'runner.inactive'],
      ])
    })

    test('the first token that speaks for a runner does so for as long as it is valid; one of its own name always', async () => {
      const { store } = await open()
      for (const name of ['shared', 'other']) await store.tokens.create({ name, role: 'runner' })
      const claim = (token: string) => store.presence.claim({ runner: 'r1', token })
      const report = { runner: 'r1', slots: 1, busy: 0, labels: [] }
      await store.presence.report({ ...report, token: 'shared', at: 10 })
      expect(await claim('shared')).toEqual({ type: 'own' })
      expect(await claim('other')).toEqual({ type: 'other', token: 'shared' })
      expect(await store.presence.report({ ...report, token: 'other', at: 20 })).toEqual({ type: 'other', token: 'shared' })
      expect(await store.presence.list()).toMatchObject([{ seenAt: 10 }])
      await store.tokens.revoke({ name: 'shared', actor: 'ana' })
      expect(await claim('other')).toEqual({ type: 'own' })
      await store.tokens.create({ name: 'r1', role: 'runner' })
      expect(await store.presence.claim({ runner: 'r1', token: 'r1' })).toEqual({ type: 'own' })
      expect(await claim('other')).toEqual({ type: 'other', token: 'r1' })
    })

    test('a polled head is remembered by branch, and starts one run per commit', async () => {
      const { store } = await open()
      const trigger = makeTrigger({ source: 'poll' })
      await store.polls.seen({ project: 'shop', branch: 'docs', sha: sha('0') })
      expect((await store.runs.list({})).items).toEqual([])
      await store.polls.seen({ project: 'shop', branch: 'main', sha: sha('1'), trigger })
      await store.polls.seen({ project: 'shop', branch: 'main', sha: sha('1'), trigger })
      expect((await store.runs.list({})).items).toMatchObject([{ number: 1, trigger }])
      const second = { ...trigger, sha: sha('2') }
      await store.polls.seen({ project: 'shop', branch: 'main', sha: sha('2'), trigger: second, known: sha('1') })
      expect(await store.polls.heads('shop')).toEqual({ docs: sha('0'), main: sha('2') })
      expect(await store.commands.lease({ owner: 'a', leaseMs: 1, limit: 10 })).toHaveLength(2)
    })

    test('a polled head that another one has overtaken starts nothing, and one that comes back starts a run again', async () => {
      const { store } = await open()
      const trigger = makeTrigger({ source: 'poll' })
      const see = (to: string, known: string) =>
        store.polls.seen({
          project: 'shop',
          branch: 'main',
          sha: sha(to),
          trigger: { ...trigger, sha: sha(to) },
          known: sha(known),
        })
      await store.polls.seen({ project: 'shop', branch: 'main', sha: sha('1') })
      await store.polls.seen({ project: 'shop', branch: 'main', sha: sha('3') })
      await see('2', '1')
      expect((await store.runs.list({})).items).toEqual([])
      await see('1', '3')
      await see('3', '1')
      expect((await store.runs.list({})).items.map((run) => run.trigger.sha)).toEqual([sha('3'), sha('1')])
      expect(await store.polls.heads('shop')).toEqual({ main: sha('3') })
    })

    test('a store that can be used answers a ping; one that is closed does not', async () => {
      const { store, reopen } = await open()
      await store.ping()
      await reopen()
      await expect(store.ping()).rejects.toMatchObject({ code: 'unavailable' })
    })
  })
}
