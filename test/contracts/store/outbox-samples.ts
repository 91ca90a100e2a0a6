import type { Plan } from '../../../src/domain/plan.ts'
import type { RunStatus } from '../../../src/domain/run.ts'
import type { LeasedItem, Run, Store } from '../../../src/store/store.ts'
import { makeEvent, startRun } from './samples.ts'
import type { OpenStoreUnderTest, StoreUnderTest } from './samples.ts'

type Opened = Pick<StoreUnderTest, 'store' | 'clock'>

export const lease = { owner: 'a', leaseMs: 1_000, limit: 10 }

/** A run whose plan is saved and which runs, in a store of its own; its news is in the outbox. */
export async function begin(open: OpenStoreUnderTest): Promise<Opened & { run: Run }> {
  return beginIn(await open())
}

export async function beginIn({ store, clock }: Opened): Promise<Opened & { run: Run }> {
  const run = await startRun(store)
  await planAndRun(store, run)
  return { store, clock, run }
}

export async function leaseOne(store: Store, limit = lease.limit): Promise<LeasedItem> {
  const [item] = await store.outbox.lease({ ...lease, limit })
  if (item === undefined) throw new Error('nothing is due')
  return item
}

/** Leases and delivers until nothing is left. */
export async function drain(store: Store, clock: { now: number }): Promise<LeasedItem[]> {
  for (const items: LeasedItem[] = []; ;) {
    const leased = await store.outbox.lease(lease)
    for (const item of leased) await store.outbox.done(item)
    if (leased.length === 0) return items
    items.push(...leased)
    clock.now += 1
  }
}

export async function planAndRun(store: Store, run: Run, pipeline = 'release'): Promise<void> {
  const plan: Plan = { rules: 1, pipeline, file: '.belay.yml', timeoutMs: 1_000, steps: [], segments: [], finally: [] }
  const planDigest = `plan of ${pipeline}`
  await store.runs.savePlan({ runId: run.id, plan, planDigest })
  await store.runs.record(run.id, [
    makeEvent(0, { type: 'run', status: 'running' }),
    makeEvent(1, { type: 'planned', pipeline, planDigest, steps: [] }),
  ])
}

export function newsOf(run: Run, status: RunStatus) {
  const { project, id: runId, number: runNumber } = run
  return { type: 'commit_status' as const, project, runId, runNumber, sha: run.trigger.sha, pipeline: 'release', status }
}
