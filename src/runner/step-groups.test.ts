/** Steps in real cgroups: what they leave and what they overdo. */
import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { cgroupsMissing, requireGone } from '../../test/helpers/cgroups.ts'
import { skipUnless } from '../../test/helpers/skips.ts'
import { until } from '../../test/helpers/until.ts'
import { endGroups, listGroups } from '../process/cgroup.ts'
import { findIdentity } from '../process/identity.ts'
import { spawnProcess } from '../process/spawn.ts'
import type { StopReason } from './stop.ts'
import { findGroupPlaces, openRunnerGroups } from './step-groups.ts'
import { findCgroups } from '../process/find-cgroups.ts'
import { commandsStep } from './testing/plan.ts'
import { createTask, startRunnerBench, type RunnerBench } from './testing/runner-bench.ts'
import { startSmallRepository, type SmallRepository } from '../../test/helpers/small-repository.ts'

let repository: SmallRepository
beforeAll(async () => {
  repository = await startSmallRepository()
})
afterAll(() => repository.stop())

let bench: RunnerBench | undefined
beforeEach(async () => {
  const missing = cgroupsMissing()
  skipUnless(missing === undefined, missing ?? '')
  bench = await startRunnerBench({ repository, builders: [], limits: { memoryBytes: 128 * 1024 ** 2, pids: 64 } })
})
afterEach(async () => {
  const places = bench === undefined ? [] : findGroupPlaces(join(bench.place, 'runner'))
  await endGroups(places)
  await bench?.stop()
  bench = undefined
  requireGone(places)
})

function here(): RunnerBench {
  if (bench === undefined) throw new Error('there is no bench')
  return bench
}
const groupsLeft = () => listGroups(findGroupPlaces(join(here().place, 'runner')))
const pidIn = async (name: string) =>
  await until(`${name} is written`, () => {
    const file = join(here().checkout(), name)
    return existsSync(file) && (Number(readFileSync(file, 'utf8')) || undefined)
  })

/** One that has nothing of the step's any more: no group, session, parent, output or variable. It ignores SIGTERM. */
const daemon = `(env -i PATH="$PATH" setsid nohup sh -c 'trap "" TERM HUP; echo $$ > daemon; while :; do sleep 1; done' >/dev/null 2>&1 &)`

async function runOne(lines: string[], more: Parameters<typeof commandsStep>[2] = {}, task = createTask()) {
  here().givePlan([commandsStep('a', lines, more)])
  const runner = here().createRunner()
  await here().open(runner)
  return await runner.runSegment(here().segment(), task)
}

describe('nothing of a step is left', () => {
  it('after its good end', async () => {
    const result = await runOne([daemon, 'until [ -s daemon ]; do sleep 0.02; done'])
    expect(result.outcomes).toMatchObject([{ step: 'a', status: 'succeeded' }])
    expect(findIdentity(await pidIn('daemon'))).toBeUndefined()
    expect(groupsLeft()).toEqual([])
  })

  it('after its time is over', async () => {
    const result = await runOne([daemon, 'sleep 600'], { timeoutMs: 1_500 })
    expect(result.outcomes).toMatchObject([{ step: 'a', status: 'timed_out' }])
    expect(findIdentity(await pidIn('daemon'))).toBeUndefined()
    expect(groupsLeft()).toEqual([])
  })

  it.each(['cancelled', 'drained', 'lost'] satisfies StopReason[])('after it was %s', async (reason) => {
    const task = createTask()
    const running = runOne([daemon, 'sleep 600'], {}, task).catch(() => undefined)
    const pid = await pidIn('daemon')
    expect(groupsLeft().length).toBeGreaterThan(0)
    task.stop(reason)
    await running
    expect(findIdentity(pid)).toBeUndefined()
    expect(groupsLeft()).toEqual([])
  })

  it('once the next life of a runner that was killed has begun', async () => {
    mkdirSync(join(here().place, 'runner'))
    const steps = openRunnerGroups(join(here().place, 'runner'), findCgroups(), {}).steps
    const left = await spawnProcess({
      ...{ file: 'sh', args: ['-c', daemon], cwd: here().place, env: { PATH: process.env['PATH'] ?? '' } },
      group: steps?.create('left-behind'),
    })
    await left.done
    const file = join(here().place, 'daemon')
    const pid = await until('the daemon runs', () => existsSync(file) && (Number(readFileSync(file, 'utf8')) || undefined))
    expect(findIdentity(pid)).toBeDefined()
    await here()
      .createRunner()
      .recover(() => Promise.resolve())
    expect(findIdentity(pid)).toBeUndefined()
    expect(groupsLeft()).toEqual([])
  })
})

describe('a limit', () => {
  it('of memory that is passed fails the step, in words and in its log', async () => {
    const result = await runOne([`node -e 'Buffer.alloc(400e6, 1)'`])
    const reason = 'killed: used more than its 128 MiB of memory; the command'
    expect(result.outcomes).toMatchObject([{ status: 'failed', reason: expect.stringContaining(reason) as string }])
    await here().whenClosed('a/1/step')
    expect(here().log('a/1/step')?.bytes.toString()).toContain(`[belay] ${reason}`)
  })

  it('of processes that is reached fails the step, and no more than that ever ran', async () => {
    const result = await runOne(['for i in $(seq 100); do sleep 600 & done'])
    const reason = 'could not start more processes: the limit of 64 processes was reached; the command'
    expect(result.outcomes).toMatchObject([{ status: 'failed', reason: expect.stringContaining(reason) as string }])
    await here().whenClosed('a/1/step')
    expect(here().log('a/1/step')?.bytes.toString()).toContain(`[belay] ${reason}`)
    expect(groupsLeft()).toEqual([])
  })

  it('of processes bounds a fork bomb, which is gone at the time limit', async () => {
    const result = await runOne(['bomb() { bomb | bomb & }; bomb; sleep 600'], { timeoutMs: 3_000 })
    expect(result.outcomes[0]?.status).toMatch(/^(timed_out|failed)$/)
    expect(result.outcomes[0]?.reason).toContain('the limit of 64 processes was reached')
    expect(groupsLeft()).toEqual([])
  })

  it('that a step copes with is told in its log alone', async () => {
    const result = await runOne([`node -e 'Buffer.alloc(400e6, 1)' || echo coped`])
    expect(result.outcomes).toMatchObject([{ status: 'succeeded' }])
    await here().whenClosed('a/1/step')
    expect(here().log('a/1/step')?.bytes.toString()).toContain('[belay] killed: used more than its 128 MiB of memory\n')
  })
})
