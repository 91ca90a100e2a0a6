import { randomUUID } from 'node:crypto'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { skipUnless } from '../../test/helpers/skips.ts'
import { mountSmallDisk, smallDiskMissing, type SmallDisk } from '../../test/helpers/small-disk.ts'
import { createJournals } from './journal.ts'
import { startRunnerBench, type RunnerBench } from './testing/runner-bench.ts'
import { startSmallRepository, type SmallRepository } from '../../test/helpers/small-repository.ts'
import { waitFor } from './testing/wait-for.ts'
import { findLease, writeLease } from './workspace/lease.ts'

describe('sweep', () => {
  let repository: SmallRepository
  beforeAll(async () => {
    repository = await startSmallRepository()
  })
  afterAll(() => repository.stop())

  let bench: RunnerBench
  let disk: SmallDisk | undefined
  beforeEach(async () => {
    bench = await startRunnerBench({ repository, builders: [] })
  })
  afterEach(async () => {
    await disk?.remove()
    disk = undefined
    await bench.stop()
  })

  const rootOf = (runId: string) => join(bench.place, 'work', runId)
  const journals = () => createJournals(join(bench.place, 'runner', 'journal'))

  /** Two runs that have ended, in the order in which they are swept. */
  async function openEnded() {
    const runner = bench.createRunner()
    const [first = '', second = ''] = [randomUUID(), randomUUID()].sort()
    for (bench.runId of [first, second]) await bench.open(runner)
    for (const runId of [first, second]) bench.server.closedRuns.add(runId)
    return { runner, first, second }
  }

  it('removes the directories of runs that have ended, and keeps the others', async () => {
    const runner = bench.createRunner()
    await bench.open(runner)
    const kept = bench.checkout()
    bench.runId = randomUUID()
    await bench.open(runner)
    bench.server.closedRuns.add(bench.runId)
    runner.begin()
    await waitFor(() => !existsSync(bench.checkout()))
    expect(existsSync(kept)).toBe(true)
    await waitFor(() => bench.server.presence.length > 0)
    expect(bench.server.presence[0]).toEqual({ runner: 'r1', slots: 2, busy: 0, labels: ['linux'] })
  })

  it('goes on with the others when one cannot be removed', async () => {
    skipUnless(smallDiskMissing() === undefined, smallDiskMissing() ?? '')
    const { runner, first, second } = await openEnded()
    // In use: the kernel does not let it go.
    disk = await mountSmallDisk({ bytes: 4096, owner: { uid: 0, gid: 0 }, at: rootOf(first) })
    runner.begin()
    await waitFor(() => !existsSync(rootOf(second)))
    expect(existsSync(rootOf(first))).toBe(true)
  })

  it('leaves alone what was given out again while the server was being asked', async () => {
    const { runner, first, second } = await openEnded()
    bench.server.fault = ({ path }) => {
      if (path.endsWith('/closed')) {
        const lease = findLease(rootOf(first))
        if (lease !== undefined) writeLease(rootOf(first), { ...lease, epoch: 2 })
        journals().begin({ runId: first, epoch: 2, work: 'segment', token: 'eA==' })
      }
      return undefined
    }
    runner.begin()
    await waitFor(() => !existsSync(rootOf(second)))
    expect(existsSync(join(rootOf(first), 'checkout'))).toBe(true)
    expect(
      journals()
        .list(first)
        .map(({ begun }) => begun.epoch),
    ).toEqual([1, 2])
  })
})
