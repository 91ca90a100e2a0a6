import { randomUUID } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import type { Deployment, EnvironmentState } from '../../../src/domain/environment.ts'
import type { Run } from '../../../src/store/store.ts'
import { makeReleaseRef, readAllPages, startRun } from './samples.ts'
import type { OpenStoreUnderTest } from './samples.ts'

export function environmentContract(open: OpenStoreUnderTest): void {
  describe('environments', () => {
    test('one that nothing is known of has no state and no fence', async () => {
      const { store } = await open()
      expect(await store.environments.load('staging')).toEqual({ fence: 0 })
      expect(await store.environments.list()).toEqual([])
    })

    test('a fence is taken, taken again, and never lowered', async () => {
      const { store } = await open()
      await store.environments.takeFence('staging', 3)
      await store.environments.takeFence('staging', 3)
      await expect(store.environments.takeFence('staging', 2)).rejects.toMatchObject({ code: 'stale', retryable: false })
      await store.environments.takeFence('eu', 1)
      expect(await store.environments.load('staging')).toEqual({ fence: 3 })
    })

    test('the newest state comes back, with the highest fence ever taken', async () => {
      const { store, reopen } = await open()
      await store.environments.record(makeState('staging', 1))
      await store.environments.record(makeState('staging', 2))
      await store.environments.takeFence('staging', 5)
      const again = await reopen()
      expect(await again.environments.load('staging')).toEqual({ state: makeState('staging', 2), fence: 5 })
    })

    test('a state older than the recorded fence is ignored, and its deployment with it', async () => {
      const { store } = await open()
      const run = await startRun(store)
      await store.environments.record(makeState('staging', 4))
      await store.environments.record(makeState('staging', 3), makeDeployment(run))
      expect((await store.environments.load('staging')).state).toEqual(makeState('staging', 4))
      expect((await store.environments.deployments({ environment: 'staging' })).items).toEqual([])
    })

    test('a deployment is written with the state, and moves on but never begins again', async () => {
      const { store } = await open()
      const begun = makeDeployment(await startRun(store))
      const ended: Deployment = { ...begun, status: 'deployed', endedAt: 20 }
      const undone: Deployment = { ...ended, status: 'undone', undoneAt: 30 }
      const listed = async () => (await store.environments.deployments({ environment: 'staging' })).items
      await store.environments.record(makeState('staging', 1), begun)
      expect(await listed()).toEqual([begun])
      await store.environments.record(makeState('staging', 1), ended)
      await store.environments.record(makeState('staging', 1), begun)
      expect(await listed()).toEqual([ended])
      await store.environments.record(makeState('staging', 2), undone)
      expect(await listed()).toEqual([undone])
    })

    test('one that was begun by a task that was lost, and done over without it, is ended and not begun by a late repeat', async () => {
      const { store } = await open()
      const run = await startRun(store)
      const [lost, done] = [makeDeployment(run, { startedAt: 10 }), makeDeployment(run, { startedAt: 20 })]
      const listed = async () => (await store.environments.deployments({ environment: 'staging' })).items
      await store.environments.record({ ...makeState('staging', 1, 1), active: lost }, lost)
      await store.environments.record(makeState('staging', 1, 2))
      const ended = [expect.objectContaining({ id: lost.id, status: 'failed', endedAt: 10 }) as Deployment]
      expect(await listed()).toEqual(ended)
      await store.environments.record({ ...makeState('staging', 1, 4), active: done }, done)
      expect(await listed()).toEqual([done, ...ended])
      await store.environments.record({ ...makeState('staging', 1, 3), active: lost }, lost)
      const late = makeDeployment(run, { startedAt: 15 })
      await store.environments.record({ ...makeState('staging', 1, 3), active: late }, late)
      expect(await listed()).toEqual([done, ...ended])
    })

    test('the one in progress goes on, whatever else is recorded meanwhile, in whatever order', async () => {
      const { store } = await open()
      const begun = makeDeployment(await startRun(store))
      await store.environments.record({ ...makeState('staging', 1, 2), active: begun })
      await store.environments.record({ ...makeState('staging', 1, 1), active: begun }, begun)
      await store.environments.record({ ...makeState('staging', 1, 3), active: begun })
      expect((await store.environments.deployments({ environment: 'staging' })).items).toEqual([begun])
    })

    test('deployments are listed newest first, page by page, by environment', async () => {
      const { store } = await open()
      const run = await startRun(store)
      for (const startedAt of [10, 30, 20, 30, 40]) {
        await store.environments.record(makeState('staging', 1), makeDeployment(run, { startedAt }))
      }
      await store.environments.record(makeState('eu', 1), makeDeployment(run, { environment: 'eu' }))
      const { items, pages } = await readAllPages((cursor) =>
        store.environments.deployments({ environment: 'staging', limit: 2, cursor }),
      )
      expect(items.map(({ startedAt }) => startedAt)).toEqual([40, 30, 30, 20, 10])
      expect(pages).toBe(3)
      expect((await store.environments.list()).map(({ name }) => name)).toEqual(['eu', 'staging'])
    })
  })
}

function makeState(name: string, fence: number, revision = 0): EnvironmentState {
  return { name, fence, revision, history: [], queue: [], rollbacks: [], undos: [], answers: [], newest: {} }
}

function makeDeployment(run: Run, changes: Partial<Deployment> = {}): Deployment {
  return {
    id: randomUUID(),
    environment: 'staging',
    kind: 'deploy',
    release: makeReleaseRef(run),
    requestId: `${run.id}/staging/staging/1`,
    runId: run.id,
    status: 'running',
    startedAt: 10,
    ...changes,
  }
}
