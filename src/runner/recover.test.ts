import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { skipUnless } from '../../test/helpers/skips.ts'
import type { RunnerRestartedDetails } from '../contract/failures.ts'
import { bootId, findIdentity } from '../process/identity.ts'
import { spawnProcess, type Spawned } from '../process/spawn.ts'
import { createJournals, type Journal } from './journal.ts'
import { tagOf, tagVariable } from './leftovers.ts'
import { commandsStep } from './testing/plan.ts'
import { createTask, startRunnerBench, type RunnerBench } from './testing/runner-bench.ts'
import { startSmallRepository, type SmallRepository } from '../../test/helpers/small-repository.ts'

describe('recover', () => {
  let repository: SmallRepository
  beforeAll(async () => {
    repository = await startSmallRepository()
  })
  afterAll(() => repository.stop())

  let bench: RunnerBench
  const children: Spawned[] = []
  beforeEach(async () => {
    bench = await startRunnerBench({ repository, builders: [] })
  })
  afterEach(async () => {
    await Promise.all(children.splice(0).map((child) => child.stop(0)))
    await bench.stop()
  })

  /** The journal of a life that was killed: nobody ever writes its end. */
  function leaveJournal(token: string): Journal {
    const journals = createJournals(join(bench.place, 'runner', 'journal'))
    return journals.begin({ runId: bench.runId, epoch: 1, work: 'segment', token })
  }
  async function leaveProcess(script: string, env: Record<string, string> = {}): Promise<Spawned> {
    const child = await spawnProcess({
      file: 'sh',
      args: ['-c', script],
      cwd: bench.place,
      env: { PATH: process.env['PATH'] ?? '', ...env },
    })
    children.push(child)
    return child
  }

  it('ends what was running, and tells Temporal once what had finished and what was cut', async () => {
    const first = bench.createRunner()
    const child = await leaveProcess('sleep 600 & wait')
    const journal = leaveJournal('b2xk')
    journal.started('a', 1)
    journal.outcome({ step: 'a', attempt: 1, epoch: 1, status: 'succeeded', endedAt: 5, exitCode: 0 })
    journal.started('b', 1)
    journal.spawned('b', child.identity)

    const told: [string, RunnerRestartedDetails][] = []
    const tell = (token: string, details: RunnerRestartedDetails) => Promise.resolve(void told.push([token, details]))
    await first.recover(tell)
    expect(told).toMatchObject([['b2xk', { interrupted: ['b'], outcomes: [{ step: 'a', status: 'succeeded' }] }]])
    expect(findIdentity(child.pid)).toBeUndefined()
    await bench.createRunner().recover(tell)
    expect(told).toHaveLength(1)
  })

  it('does nothing again that had finished before the kill', async () => {
    bench.givePlan([commandsStep('a', ['echo a >> count']), commandsStep('b', ['echo b >> count'], { needs: ['a'] })])
    const runner = bench.createRunner()
    await bench.open(runner)
    const journal = leaveJournal('b2xk')
    journal.started('a', 1)
    journal.outcome({ step: 'a', attempt: 1, epoch: 1, status: 'succeeded', endedAt: 5, exitCode: 0 })
    journal.started('b', 1)
    await runner.recover(() => Promise.resolve())
    const result = await runner.runSegment(bench.segment({ workspace: { runId: bench.runId, epoch: 2 } }), createTask())
    expect(result.outcomes.map(({ step, epoch }) => [step, epoch])).toEqual([
      ['a', 1],
      ['b', 2],
    ])
    expect(readFileSync(join(bench.checkout(), 'count'), 'utf8')).toBe('b\n')
  })

  it('kills no stranger who was given the pid of one of its processes', async () => {
    const stranger = await leaveProcess('exec sleep 600')
    const journal = leaveJournal('b2xk')
    journal.started('a', 1)
    journal.spawned('a', { pid: stranger.pid, startTime: '1', bootId: bootId() })
    journal.started('b', 1)
    journal.spawned('b', { ...stranger.identity, bootId: 'the boot before' })
    await bench.createRunner().recover(() => Promise.resolve())
    expect(findIdentity(stranger.pid)).toEqual(stranger.identity)
  })

  it('kills no step of another runner here, which was given an opening that had come to nothing', async () => {
    const step = await leaveProcess('exec sleep 600', { [tagVariable]: tagOf({ runId: bench.runId, epoch: 1 }) })
    const journals = createJournals(join(bench.place, 'runner', 'journal'))
    journals.begin({ runId: bench.runId, epoch: 1, work: 'opening', token: 'b2xk' })
    const runner = bench.createRunner()
    await runner.recover(() => Promise.resolve())
    await runner.closeWorkspace(bench.runId)
    expect(findIdentity(step.pid)).toEqual(step.identity)
  })

  it('leaves nothing of a closed run: no process, no directory, no journal', async () => {
    skipUnless(process.platform === 'linux', 'finds processes through /proc, which only Linux has')
    const lines = [`setsid sh -c 'echo $$ > pid; exec sleep 600' >/dev/null 2>&1 & while [ ! -s pid ]; do sleep 0.02; done`]
    bench.givePlan([commandsStep('a', lines)])
    const runner = bench.createRunner()
    await bench.open(runner)
    await runner.runSegment(bench.segment(), createTask())
    const pid = Number(readFileSync(join(bench.checkout(), 'pid'), 'utf8'))
    expect(findIdentity(pid)).toBeDefined()
    await runner.closeWorkspace(bench.runId)
    await runner.closeWorkspace(bench.runId)
    expect(findIdentity(pid)).toBeUndefined()
    expect(readdirSync(join(bench.place, 'work'))).toEqual([])
    expect(readdirSync(join(bench.place, 'runner', 'journal'))).toEqual([])
    await expect(runner.runSegment(bench.segment(), createTask())).rejects.toMatchObject({ code: 'not_found' })
  })
})
