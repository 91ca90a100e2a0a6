// Long because one segment is cut, stopped and sent again in many ways, each with the same runner around it.
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { SegmentInput, SegmentResult } from '../contract/activities.ts'
import type { PlanStep } from '../domain/plan.ts'
import { pack } from '../drivers/builders/pack/pack.ts'
import { findIdentity } from '../process/identity.ts'
import type { Runner } from './create-runner.ts'
import { cutSteps } from './cut-steps.ts'
import { createJournals } from './journal.ts'
import { commandsStep } from './testing/plan.ts'
import { createTask, startRunnerBench, type RunnerBench } from './testing/runner-bench.ts'
import { startSmallRepository, type SmallRepository } from '../../test/helpers/small-repository.ts'
import { waitFor } from './testing/wait-for.ts'

describe('run-segment', () => {
  let repository: SmallRepository
  beforeAll(async () => {
    repository = await startSmallRepository({ 'a.txt': 'a\n' })
  })
  afterAll(() => repository.stop())

  let bench: RunnerBench
  let runner: Runner
  beforeEach(async () => {
    bench = await startRunnerBench({ repository, builders: [pack] })
    runner = bench.createRunner()
    await bench.open(runner)
  })
  afterEach(async () => await bench.stop())

  async function runPlan(steps: PlanStep[]): Promise<SegmentResult> {
    bench.givePlan(steps)
    return await runner.runSegment(bench.segment(), createTask())
  }
  const statuses = (result: SegmentResult) => result.outcomes.map(({ step, status }) => `${step} ${status}`)
  const journalled = () => readdirSync(join(bench.place, 'runner', 'journal', bench.runId))
  const shown = (key: string) => bench.log(key)?.bytes.toString() ?? ''

  it('opens a workspace once per epoch, and reads the pipeline files of the commit', async () => {
    const opened = await bench.open(runner)
    expect(opened).toEqual({ runner: 'r1', files: [{ path: '.belay.yml', text: 'steps: {}\n' }] })
  })

  it('runs steps in the checkout, and tells the server what they printed and how they went', async () => {
    const result = await runPlan([
      commandsStep('build', ['cat a.txt', 'echo "$BELAY_BRANCH $BELAY_RUN_NUMBER $BELAY_RUN_URL"']),
      commandsStep('test', ['echo more >> a.txt; exit 3'], { needs: ['build'] }),
    ])
    expect(result.ended).toBe('complete')
    expect(statuses(result)).toEqual(['build succeeded', 'test failed'])
    const reason = 'the command failed with exit code 3: echo more >> a.txt; exit 3'
    expect(result.outcomes[1]).toMatchObject({ exitCode: 3, epoch: 1, attempt: 1, reason })
    expect(result.outcomes[1]?.tail).toContain('$ echo more')
    await bench.whenClosed('build/1/step')
    await bench.whenClosed('test/1/step')
    expect(shown('build/1/step')).toContain(`main 7 https://belay.example/runs/${bench.runId}\n`)
  })

  it('numbers its news so that they stay unique and in order', async () => {
    await runPlan([commandsStep('a', ['true']), commandsStep('b', ['true'], { needs: ['a'] })])
    await waitFor(() => bench.server.events.length === 4)
    const { events } = bench.server
    const told = events.map(({ source, epoch, body }) => [
      source,
      epoch,
      body.type === 'step' ? `${body.change.step} ${body.change.status}` : '',
    ])
    expect(told).toEqual(['a running', 'a succeeded', 'b running', 'b succeeded'].map((text) => ['runner/r1', 1, text]))
    const numbers = events.map(({ n }) => n)
    expect([...new Set(numbers)].sort((a, b) => a - b)).toEqual(numbers)
  })

  it('begins anew in a fresh directory, whatever failed in the one before', async () => {
    const mended = join(bench.place, 'mended')
    const failed = await runPlan([commandsStep('a', [`test -e ${mended}`])])
    expect(statuses(failed)).toEqual(['a failed'])
    await bench.open(runner, 2)
    writeFileSync(mended, '')
    const again = await runner.runSegment(bench.segment({ workspace: { runId: bench.runId, epoch: 2 } }), createTask())
    expect(again).toMatchObject({ ended: 'complete', outcomes: [{ step: 'a', status: 'succeeded', epoch: 2 }] })
  })

  it('gives a secret to its step only, and shows it nowhere', async () => {
    bench.server.secrets = { TOKEN: 'correct-horse' }
    const env = { TOKEN: { secret: 'npm' }, LEVEL: { value: 'high' } }
    const result = await runPlan([
      commandsStep('plain', ['env | grep -c TOKEN || true']),
      commandsStep('secret', ['echo "<$TOKEN> $LEVEL"', 'printf "%s" "$TOKEN" | base64', 'exit 1'], { needs: ['plain'], env }),
    ])
    await bench.whenClosed('plain/1/step')
    await bench.whenClosed('secret/1/step')
    expect(bench.server.secretsAsked).toEqual([{ step: 'secret', attempt: 1, part: 'step' }])
    expect(shown('plain/1/step')).toContain('\n0\n')
    expect(shown('secret/1/step')).toContain('<***> high\n')
    expect(`${shown('secret/1/step')}${JSON.stringify(result)}`).not.toMatch(/correct-horse|Y29ycmVjdC1ob3JzZ/)
  })

  it('makes a step errored whose secret is refused, and starts nothing of it', async () => {
    const body = { code: 'forbidden', detail: 'not bound to this step' }
    bench.server.fault = ({ path }) => (path.endsWith('/secrets') ? { status: 403, body } : undefined)
    const result = await runPlan([commandsStep('a', ['touch started'], { env: { TOKEN: { secret: 'npm' } } })])
    expect(statuses(result)).toEqual(['a errored'])
    expect(result.outcomes[0]?.reason).toContain('not bound to this step')
    expect(existsSync(join(bench.checkout(), 'started'))).toBe(false)
  })

  it('stores a checkpoint after its step, with the work of the steps so far, and says so in the log', async () => {
    const outcomes = (
      await runPlan([
        commandsStep('a', ['echo one > x']),
        commandsStep('b', ['echo two > y'], { needs: ['a'], checkpoint: true }),
        commandsStep('c', ['echo three > z'], { needs: ['b'] }),
      ])
    ).outcomes
    const [, { result } = {}] = outcomes
    expect(result?.checkpoint?.steps).toEqual(['a', 'b'])
    const stored = bench.server.artifacts.get(result?.checkpoint?.digest ?? '')
    expect(stored?.length).toBe(result?.checkpoint?.sizeBytes)
    await bench.whenClosed('b/1/step')
    expect(shown('b/1/step')).toMatch(/\[belay\] checkpoint: \d+ files, \d+ bytes\n/)
  })

  it('says why there is no checkpoint, and the step has succeeded all the same', async () => {
    const result = await runPlan([commandsStep('a', ['ln -s /etc out'], { checkpoint: true })])
    expect(statuses(result)).toEqual(['a succeeded'])
    expect(result.outcomes[0]?.result?.checkpoint).toBeUndefined()
    await bench.whenClosed('a/1/step')
    expect(shown('a/1/step')).toContain('[belay] no checkpoint: a checkpoint cannot hold "checkout/out"')
  })

  it('inherits nothing from a directory that was lost', async () => {
    await runPlan([commandsStep('a', ['touch made'])])
    await bench.open(runner, 2)
    const result = await runner.runSegment(bench.segment({ workspace: { runId: bench.runId, epoch: 2 } }), createTask())
    expect(result.outcomes).toMatchObject([{ step: 'a', epoch: 2, status: 'succeeded' }])
    expect(existsSync(join(bench.checkout(), 'made'))).toBe(true)
  })

  it('keeps declared artifacts by digest before the step counts as succeeded', async () => {
    const lines = ['mkdir dist; echo one > dist/x; echo two > dist/y; chmod +x dist/y; ln -s x dist/z']
    const result = await runPlan([commandsStep('a', lines, { artifacts: { paths: ['dist/'], exclude: [] } })])
    const artifacts = result.outcomes[0]?.result?.artifacts ?? []
    const kept = artifacts.map(({ path, executable, digest }) => [
      path,
      executable,
      bench.server.artifacts.get(digest)?.toString(),
    ])
    expect(kept).toEqual([
      ['dist/x', false, 'one\n'],
      ['dist/y', true, 'two\n'],
      ['dist/z', false, 'one\n'],
    ])
  })

  const imageStep = (files: Record<string, string>): PlanStep => {
    const { id, needs, env, timeoutMs, retry, segment } = commandsStep('image', [])
    const build = {
      builder: 'pack' as const,
      repository: 'shop/app',
      tags: ['v1'],
      files,
      entrypoint: ['/bin/cat', '/a'],
      labels: {},
    }
    return { id, needs, env, timeoutMs, retry, segment, kind: 'build_image', buildImage: build }
  }

  it('builds an image, with the builder’s lines in the step’s log', async () => {
    const result = await runPlan([imageStep({ 'a.txt': '/a' })])
    const image = result.outcomes[0]?.result?.image
    expect(image?.repository).toBe('shop/app')
    await bench.whenClosed('image/1/step')
    expect(shown('image/1/step')).toContain(image?.digest)
  })

  it('fails a build that the builder refuses', async () => {
    const result = await runPlan([imageStep({ 'absent.txt': '/a' })])
    expect(statuses(result)).toEqual(['image failed'])
    expect(result.outcomes[0]?.reason).toContain('absent.txt')
  })

  it.each([
    { reason: 'cancelled', outcomes: ['a succeeded', 'b cancelled'], line: '[belay] cancelled while it ran\n' },
    { reason: 'drained', outcomes: ['a succeeded'], line: '[belay] cut off: the runner is being stopped\n' },
  ] as const)('stops its processes and returns what there is: $reason', async ({ reason, outcomes, line }) => {
    bench.givePlan([
      commandsStep('a', ['true']),
      commandsStep('b', ['echo "pid $$"', 'sleep 600'], { needs: ['a'] }),
      commandsStep('c', ['true'], { needs: ['b'] }),
    ])
    const task = createTask()
    const running = runner.runSegment(bench.segment(), task)
    await waitFor(() => shown('b/1/step').includes('$ sleep'))
    if (reason === 'cancelled') task.stop('cancelled')
    else void runner.drain()
    const result = await running
    expect(result.ended).toBe(reason)
    expect(statuses(result)).toEqual(outcomes)
    await bench.whenClosed('b/1/step')
    expect(findIdentity(Number(/^pid (\d+)/m.exec(shown('b/1/step'))?.[1]))).toBeUndefined()
    expect(shown('b/1/step')).toContain(line)
  })

  describe('a step in doubt', () => {
    const inDoubt = (over: Partial<SegmentInput> = {}) =>
      bench.segment({ workspace: { runId: bench.runId, epoch: 2 }, inDoubt: ['a'], ...over })

    it('is named and not begun again if it was interrupted, in an earlier life too; its next attempt is begun', async () => {
      bench.givePlan([commandsStep('a', ['echo begun >> times', 'test "$(wc -l < times)" -ge 2 || sleep 600'])])
      const running = runner.runSegment(bench.segment(), createTask())
      await waitFor(() => existsSync(join(bench.checkout(), 'times')))
      await runner.drain()
      await running
      const next = bench.createRunner()
      const told = await next.runSegment(inDoubt(), createTask())
      expect(told).toEqual({ outcomes: [], ended: 'complete', interrupted: ['a'] })
      expect(readFileSync(join(bench.checkout(), 'times'), 'utf8')).toBe('begun\n')
      const undone = { step: 'a', attempt: 1, epoch: 2, status: 'errored' as const, endedAt: 1, retryAt: 1 }
      const result = await next.runSegment(inDoubt({ outcomes: [undone] }), createTask())
      expect(result).toMatchObject({ ended: 'complete', outcomes: [{ step: 'a', attempt: 2, status: 'succeeded' }] })
      expect(result).not.toHaveProperty('interrupted')
    })

    it('has its outcome if it had ended, and is begun if it never was', async () => {
      bench.givePlan([commandsStep('a', ['echo begun >> times'])])
      const first = await runner.runSegment(inDoubt({ workspace: { runId: bench.runId, epoch: 1 } }), createTask())
      const again = await runner.runSegment(inDoubt(), createTask())
      expect([first, again].map(({ outcomes }) => outcomes)).toMatchObject([
        [{ step: 'a', epoch: 1, status: 'succeeded' }],
        [{ step: 'a', epoch: 1, status: 'succeeded' }],
      ])
      expect(readFileSync(join(bench.checkout(), 'times'), 'utf8')).toBe('begun\n')
    })
  })

  it('gives way to the same segment under a higher epoch, and refuses a lower one', async () => {
    bench.givePlan([commandsStep('a', ['echo "$BELAY_STEP_TAG" >> tags', 'test -e second || { touch second; sleep 600; }'])])
    const older = runner.runSegment(bench.segment(), createTask()).catch((error: unknown) => error)
    await waitFor(() => existsSync(join(bench.checkout(), 'second')))
    const { runId } = bench
    const newer = await runner.runSegment(bench.segment({ workspace: { runId, epoch: 2 } }), createTask())
    expect(await older).toMatchObject({ code: 'stale' })
    expect(newer.outcomes).toMatchObject([{ step: 'a', epoch: 2, attempt: 1, status: 'succeeded' }])
    expect(readFileSync(join(bench.checkout(), 'tags'), 'utf8')).toBe(`${runId}/1\n${runId}/2\n`)
    await expect(runner.runSegment(bench.segment(), createTask())).rejects.toMatchObject({ code: 'stale' })
  })

  it('begins no step of work that may be somebody else’s by now, and leaves none of its own', async () => {
    const made = join(bench.place, 'made')
    bench.givePlan([commandsStep('a', [`echo a >> ${made}`]), commandsStep('b', [`echo b >> ${made}`], { needs: ['a'] })])
    let asked = 0
    // Stopped after the first one, for longer than its silence is borne.
    const confirm = () => Promise.resolve((asked += 1) === 1)
    const running = runner.runSegment(bench.segment(), { ...createTask(), confirm })
    await expect(running).rejects.toMatchObject({ code: 'stale' })
    expect(readFileSync(made, 'utf8')).toBe('a\n')
    expect(asked).toBe(2)
  })

  it('ends a step that the watchdog had cut before it was there, and says that it was cut', async () => {
    const made = join(bench.place, 'made')
    bench.givePlan([commandsStep('a', ['sleep 2', `echo a >> ${made}`])])
    // As the watchdog does of a runner that stands still between these two.
    const confirm = async () => {
      await cutSteps(join(bench.place, 'runner'))
      return true
    }
    const running = runner.runSegment(bench.segment(), { ...createTask(), confirm })
    await expect(running).rejects.toMatchObject({ interrupted: ['a'] })
    expect(existsSync(made)).toBe(false)
  })

  it.each([
    [true, { ended: 'complete', outcomes: [{ step: 'a', status: 'succeeded' }] }],
    [false, { interrupted: ['a'] }],
  ])(
    'of a step that ended well though the watchdog meant to end it: whether it counts is whether it is ours: %s',
    async (isOurs, counts) => {
      // Long over when the watchdog comes: the runner stands still, and has not heard of it.
      bench.givePlan([commandsStep('a', [`while [ ! -e ${join(bench.place, 'go')} ]; do sleep 0.05; done`])])
      let asked = 0
      const confirm = () => Promise.resolve((asked += 1) === 1 || isOurs)
      const running = runner.runSegment(bench.segment(), { ...createTask(), confirm }).catch((error: unknown) => error)
      const journals = createJournals(join(bench.place, 'runner', 'journal'))
      const begun = () => journals.list(bench.runId).find((one) => one.identities.length > 0)
      await waitFor(() => begun() !== undefined)
      const record = begun()
      if (record !== undefined) journals.markCut(record, record.running)
      writeFileSync(join(bench.place, 'go'), '')
      const result = await running
      expect(result).toMatchObject(counts)
      expect(asked).toBe(2)
    },
  )

  it('starts no step of a run in another segment once one has failed for good', async () => {
    bench.givePlan([
      commandsStep('a', ['false']),
      commandsStep('b', ['while [ ! -e go ]; do sleep 0.02; done'], { segment: 1 }),
      commandsStep('c', ['touch started'], { segment: 1, needs: ['b'] }),
    ])
    const other = runner.runSegment(bench.segment({ segment: 1 }), createTask())
    await runner.runSegment(bench.segment(), createTask())
    writeFileSync(join(bench.checkout(), 'go'), '')
    expect(await other).toMatchObject({ ended: 'complete', outcomes: [{ step: 'b', status: 'succeeded' }] })
    expect(existsSync(join(bench.checkout(), 'started'))).toBe(false)
  })

  it('works on while the server is away, and tells it everything later', async () => {
    bench.server.fault = ({ path }) => (path.includes('/plans/') ? undefined : 'drop')
    const result = await runPlan([commandsStep('a', ['echo one']), commandsStep('b', ['echo two'], { needs: ['a'] })])
    expect(statuses(result)).toEqual(['a succeeded', 'b succeeded'])
    bench.server.fault = undefined
    await bench.whenClosed('a/1/step')
    await bench.whenClosed('b/1/step')
    await waitFor(() => bench.server.events.length === 4)
  })

  it('runs an undo in the workspace, with a log of its own', async () => {
    bench.givePlan([commandsStep('a', [])])
    const commands = { lines: ['echo back', 'false'], shell: 'sh' as const, workingDirectory: '.' }
    const { workspace, run, planDigest } = bench.segment()
    const script = { type: 'undo' as const, step: 'a', undo: { commands, env: {}, timeoutMs: 5_000, attempts: 1 } }
    const outcome = await runner.runScript({ workspace, run, planDigest, script, attempt: 1 }, createTask())
    expect(outcome).toMatchObject({ step: 'a', status: 'failed', exitCode: 1, reason: 'line 2 failed with exit code 1: false' })
    await bench.whenClosed('a/1/undo')
    expect(shown('a/1/undo')).toContain('\nback\n')
  })

  it('runs no undo while a checkpoint of the workspace is wanted', async () => {
    bench.givePlan([
      commandsStep('a', ['true'], { checkpoint: true }),
      commandsStep('b', ['while [ ! -e go ]; do sleep 0.5; done; touch b-ended']),
    ])
    const running = runner.runSegment(bench.segment(), createTask())
    await waitFor(() => existsSync(join(bench.place, 'runner', 'scratch')))
    const commands = { lines: ['test -e b-ended'], shell: 'sh' as const, workingDirectory: '.' }
    const { workspace, run, planDigest } = bench.segment()
    const script = { type: 'undo' as const, step: 'a', undo: { commands, env: {}, timeoutMs: 5_000, attempts: 1 } }
    const undoing = runner.runScript({ workspace, run, planDigest, script, attempt: 1 }, createTask())
    await waitFor(() => journalled().some((name) => name.endsWith('.script.jsonl')))
    writeFileSync(join(bench.checkout(), 'go'), '')
    expect(await undoing).toMatchObject({ status: 'succeeded' })
    expect(statuses(await running)).toEqual(['b succeeded', 'a succeeded'])
  })

  it('says so if it does not know the server’s plan', async () => {
    await expect(runner.runSegment(bench.segment(), createTask())).rejects.toMatchObject({ code: 'refused' })
  })
})
