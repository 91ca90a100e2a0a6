import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { skipUnless } from '../../test/helpers/skips.ts'
import { mountSmallDisk, smallDiskMissing, type SmallDisk } from '../../test/helpers/small-disk.ts'
import type { Runner } from './create-runner.ts'
import { createJournals } from './journal.ts'
import { commandsStep } from './testing/plan.ts'
import { createTask, startRunnerBench, type RunnerBench } from './testing/runner-bench.ts'
import { startSmallRepository, type SmallRepository } from '../../test/helpers/small-repository.ts'
import { waitFor } from './testing/wait-for.ts'

describe('a runner whose disk gets full', () => {
  let repository: SmallRepository
  beforeAll(async () => {
    repository = await startSmallRepository()
  })
  afterAll(() => repository.stop())

  let bench: RunnerBench
  let disk: SmallDisk | undefined
  let runner: Runner
  beforeEach(async () => {
    skipUnless(smallDiskMissing() === undefined, smallDiskMissing() ?? '')
    bench = await startRunnerBench({ repository, builders: [] })
    const at = join(bench.place, 'runner', 'journal')
    mkdirSync(at, { recursive: true })
    const owner = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 }
    disk = await mountSmallDisk({ bytes: 1024 * 1024, owner, at })
    runner = bench.createRunner()
    await bench.open(runner)
  })
  afterEach(async () => {
    await disk?.remove()
    disk = undefined
    await bench?.stop()
  })

  /** What fills the disk of the journals to its last byte, the page that a journal has begun included. */
  const fill = () => [
    `cd ${join(bench.place, 'runner', 'journal')}`,
    `for f in */*; do head -c $((4096 - $(stat -c %s "$f") % 4096)) /dev/zero | tr '\\0' '\\n' >> "$f"; done`,
    'cat /dev/zero > fill || rm -f never',
  ]

  it('keeps the outcomes of the steps that had finished, also of one that could not be written down', async () => {
    bench.givePlan([
      commandsStep('a', ['true']),
      commandsStep('b', fill(), { needs: ['a'] }),
      commandsStep('c', [], { needs: ['b'] }),
    ])
    const told: unknown[] = []
    const result = await runner.runSegment(bench.segment(), { ...createTask(), progress: (details) => told.push(details) })
    expect(result.outcomes.map(({ step, status }) => `${step} ${status}`)).toEqual(['a succeeded', 'b succeeded'])
    expect(
      createJournals(join(bench.place, 'runner', 'journal'))
        .list(bench.runId)
        .at(-1)?.outcomes,
    ).toMatchObject([{ step: 'a' }])
    expect(told.at(-1)).toMatchObject({ outcomes: [{ step: 'a' }, { step: 'b' }] })
    await waitFor(() => bench.server.events.length === 4)
  })

  it('keeps the outcome of an undo', async () => {
    bench.givePlan([commandsStep('a', [])])
    const commands = { lines: fill(), shell: 'sh' as const, workingDirectory: '.' }
    const { workspace, run, planDigest } = bench.segment()
    const script = { type: 'undo' as const, step: 'a', undo: { commands, env: {}, timeoutMs: 60_000, attempts: 1 } }
    const outcome = await runner.runScript({ workspace, run, planDigest, script, attempt: 1 }, createTask())
    expect(outcome).toMatchObject({ step: 'a', status: 'succeeded' })
  })
})
