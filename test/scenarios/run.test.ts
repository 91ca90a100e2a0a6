/** Runs, from a signed push to their end, with everything real and Git over HTTP. */
import { createHash } from 'node:crypto'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { findTagged } from '../../src/process/identity.ts'
import { filesThatContain } from '../helpers/files-that-contain.ts'
import { deploying, loadStepRow, outline, startScenario, type Scenario } from '../helpers/scenario.ts'
import { until } from '../helpers/until.ts'

const secret = 'q7Zk-wT4x/9vLm+Secret~value'
let scenario: Scenario

beforeAll(async () => {
  scenario = await startScenario({
    config: `secrets:
  token: { provider: env, name: SCENARIO_TOKEN, projects: [hello] }
  of_main: { provider: env, name: SCENARIO_TOKEN, projects: [hello], branches: [main] }
`,
    env: { SCENARIO_TOKEN: secret },
  })
})

afterAll(() => scenario.stop())

async function logOf(runId: string, step: string, holds: string): Promise<string> {
  return until(`the log of ${step} holds ${JSON.stringify(holds)}`, async () => {
    const text = await scenario.system.readLog(runId, step)
    return text.includes(holds) ? text : undefined
  })
}

describe('steps', () => {
  test('run in their order in one checkout of the commit, each with its own environment', async () => {
    const { sha, branch, id } = await scenario.start(
      `name: greet
env: { WHO: world }
steps:
  first:
    env: { GREETING: hello }
    commands:
      - echo "$GREETING $WHO on $BELAY_BRANCH at $BELAY_SHA"
      - echo made > made.txt
  second:
    commands:
      - test "$(cat made.txt)" = made
      - test -z "$GREETING"
      - cat given.txt
`,
      { files: { 'given.txt': 'given by the commit\n' } },
    )
    const run = await scenario.end(id)
    expect(run).toMatchObject({ status: 'succeeded', pipelineName: 'greet', trigger: { sha, branch } })
    expect(outline(run)).toEqual(['first: succeeded', 'second: succeeded'])
    await logOf(id, 'first', `hello world on ${branch} at ${sha}\n`)
    await logOf(id, 'second', 'given by the commit\n')
  })

  test('a secret reaches its step alone, is masked in the log, and is written nowhere', async () => {
    const digest = createHash('sha256').update(secret).digest('hex')
    const { id } = await scenario.start(`steps:
  use:
    env: { TOKEN: { from_secret: token }, MARK: this-is-no-secret }
    commands:
      - test "$(printf %s "$TOKEN" | sha256sum | cut -c1-64)" = ${digest}
      - echo "plain $TOKEN."
      - printf %s "$TOKEN" | base64
      - printf 'x%s' "$TOKEN" | base64
      - printf %s "$TOKEN" >&2
      - echo "the end"
  other:
    commands: ['test -z "$TOKEN"']
`)
    expect((await scenario.end(id)).status).toBe('succeeded')
    const log = await logOf(id, 'use', '\nthe end\n')
    expect(log).toContain('\nplain ***.\n')
    const forms = [secret, ...['', 'x', 'xx'].map((lead) => Buffer.from(`${lead}${secret}`).toString('base64').slice(4, -4))]
    for (const form of forms) expect(log).not.toContain(form)

    const { system } = scenario
    // The search would find it: it finds what the same step printed, and in Temporal's own files what it was sent.
    expect(filesThatContain(system.data, 'this-is-no-secret')).not.toEqual([])
    expect(filesThatContain(join(system.data, 'temporal'), id)).not.toEqual([])
    for (const form of forms) expect(filesThatContain(system.directory, form)).toEqual([])
    expect(system.output()).not.toContain(secret)
  })

  test('a secret of another branch is not given: the run ends errored, and says why', async () => {
    const run = await scenario.run(`steps:
  use: { env: { TOKEN: { from_secret: of_main } }, commands: [echo got it > NOTES/of_main] }
`)
    expect(run.status).toBe('errored')
    expect(run.reason).toContain('of_main')
    expect(scenario.readNote('of_main')).toEqual([])
  })

  test('over its time a step ends timed_out, and nothing of its process tree is left, not even what left its group', async () => {
    const { id } = await scenario.start(`steps:
  hang:
    timeout: 3s
    commands:
      - (setsid sh -c 'sleep 300; sleep 300' >/dev/null 2>&1 &)
      - echo begun > NOTES/hang
      - sleep 300
`)
    await scenario.noted('hang')
    expect(findTagged('BELAY_RUN_ID', id).length).toBeGreaterThanOrEqual(4)
    const run = await scenario.end(id)
    expect(outline(run)).toEqual(['hang: timed_out'])
    expect(run.status).toBe('failed')
    expect(findTagged('BELAY_RUN_ID', id)).toEqual([])
  })

  test('a retry waits, doubling, and every attempt stays visible with its own log', async () => {
    const { id } = await scenario.start(`steps:
  flaky:
    commands:
      - echo "this is attempt $BELAY_ATTEMPT"
      - test "$BELAY_ATTEMPT" -ge 3
    retry: { max: 3, on: [failed], backoff: 300ms }
  after:
    commands: ['true']
`)
    const run = await scenario.end(id)
    expect(run.status).toBe('succeeded')
    expect(outline(run)).toEqual(['flaky: failed', 'flaky: failed', 'flaky: succeeded', 'after: succeeded'])
    const [one, two, three] = run.steps.filter(({ step }) => step === 'flaky').toSorted((a, b) => a.attempt - b.attempt)
    expect((two?.startedAt ?? 0) - (one?.endedAt ?? 0)).toBeGreaterThanOrEqual(300)
    expect((three?.startedAt ?? 0) - (two?.endedAt ?? 0)).toBeGreaterThanOrEqual(600)
    const log = await logOf(id, 'flaky', 'this is attempt 3\n')
    expect(log.match(/^this is attempt \d$/gm)).toEqual(['this is attempt 1', 'this is attempt 2', 'this is attempt 3'])
  })

  test('a step that fails ends the run failed, and says with which code and with its last lines', async () => {
    const run = await scenario.run(`steps:
  breaks:
    commands:
      - echo "the cause" >&2
      - exit 7
  never:
    commands: ['true']
`)
    expect(run.status).toBe('failed')
    expect(outline(run)).toEqual(['breaks: failed', 'never: skipped'])
    const row = loadStepRow(run, 'breaks')
    expect(row).toMatchObject({ exitCode: 7, tail: expect.stringContaining('the cause') })
    expect(run.reason).toContain('step "breaks" failed')
  })

  test('`when` leaves out a step on another branch, and what needs it, and says why', async () => {
    const run = await scenario.run(
      `steps:
  always: { commands: ['true'] }
  only_main: { needs: [always], when: { branch: main }, commands: ['false'] }
  needs_it: { needs: [only_main], commands: ['false'] }
  last: { needs: [always], commands: ['true'] }
`,
      { branch: 'feature/when' },
    )
    expect(run.status).toBe('succeeded')
    expect(outline(run)).toEqual(['always: succeeded', 'only_main: skipped', 'needs_it: skipped', 'last: succeeded'])
    expect(loadStepRow(run, 'only_main').reason).toContain('branch')
    expect(loadStepRow(run, 'needs_it').reason).toBe('needs "only_main", which was skipped')
  })

  test('a commit that its branch no longer holds is still the one that runs', async () => {
    const old = await scenario.commit(
      `steps: { show: { commands: [cat which.txt, 'test "$BELAY_SHA" = "$(git rev-parse HEAD)"'] } }\n`,
      {
        branch: 'pushed-away',
        files: { 'which.txt': 'the old one\n' },
      },
    )
    const other = await scenario.commit(`steps: { fail: { commands: ['false'] } }\n`, { branch: 'another' })
    await scenario.repository.forcePush('pushed-away', other.sha)
    const { id } = await scenario.system.push(old.sha, 'the old one', { branch: old.branch })
    expect((await scenario.end(id)).status).toBe('succeeded')
    await logOf(id, 'show', 'the old one\n')
  })
})

describe('the way back', () => {
  test('over its time the whole run is stopped and taken back', async () => {
    const { id } = await scenario.start(`timeout: 4s
steps:
  one: { commands: ['true'], undo: { commands: [echo undid one >> NOTES/overtime] } }
  hang: { commands: [sleep 300] }
`)
    const run = await scenario.end(id)
    expect(run.status).toBe('rolled_back')
    expect(run.reason).toContain('took longer')
    expect(scenario.readNote('overtime')).toEqual(['undid one'])
    expect(findTagged('BELAY_RUN_ID', id)).toEqual([])
  })

  test('an undo that fails does not stop the others; the run waits for a person, and finally is told so once', async () => {
    const run = await scenario.run(`steps:
  one: { commands: ['true'], undo: { commands: [echo undid one >> NOTES/blocked] } }
  two: { commands: ['true'], undo: { commands: [echo tried two >> NOTES/blocked, exit 3], retry: { max: 1 } } }
  three: { commands: ['false'] }
finally:
  told: { when: { status: [rollback_blocked] }, commands: [echo told >> NOTES/blocked] }
  rest: { when: { status: [failed, rolled_back, rollback_failed] }, commands: [echo wrong >> NOTES/blocked] }
`)
    expect(run.status).toBe('rollback_blocked')
    expect(run.reason).toContain('two')
    expect(run.undo.map(({ step, status }) => `${step}: ${status}`)).toEqual(['one: done', 'two: failed'])
    expect(scenario.readNote('blocked')).toEqual(['tried two', 'tried two', 'undid one', 'told'])
  })

  test('undo commands run last-in first-out when a later step fails, then finally, once, as its filter says', async () => {
    const run = await scenario.run(`steps:
  one: { commands: [echo did one >> NOTES/order], undo: { commands: [echo undid one >> NOTES/order] } }
  two: { commands: [echo did two >> NOTES/order], undo: { commands: [echo undid two >> NOTES/order] } }
  three: { commands: [echo tried three >> NOTES/order, exit 1], undo: { commands: [echo undid three >> NOTES/order] } }
  four: { commands: [echo did four >> NOTES/order], undo: { commands: [echo undid four >> NOTES/order] } }
finally:
  good: { when: { status: [succeeded] }, commands: [echo finally good >> NOTES/order] }
  bad: { when: { status: [rolled_back] }, commands: [echo finally bad >> NOTES/order] }
  any: { commands: [echo finally any >> NOTES/order] }
`)
    expect(run.status).toBe('rolled_back')
    expect(scenario.readNote('order')).toEqual([
      'did one',
      'did two',
      'tried three',
      'undid three',
      'undid two',
      'undid one',
      'finally bad',
      'finally any',
    ])
    expect(run.undo.map(({ step, status }) => `${step}: ${status}`)).toEqual(['one: done', 'two: done', 'three: done'])
  })

  test('nothing is undone when all goes well, and finally sees that', async () => {
    const run = await scenario.run(`steps:
  one: { commands: [echo did one >> NOTES/well], undo: { commands: [echo undid one >> NOTES/well] } }
finally:
  good: { when: { status: [succeeded] }, commands: [echo finally good >> NOTES/well] }
  bad: { when: { status: [rolled_back, failed] }, commands: [echo finally bad >> NOTES/well] }
`)
    expect(run.status).toBe('succeeded')
    expect(scenario.readNote('well')).toEqual(['did one', 'finally good'])
    expect(run.undo).toMatchObject([{ step: 'one', status: 'discharged' }])
  })

  test('with the workspace lost, an undo has a fresh one, with the commit and the artifacts its step needs', async () => {
    const { id } = await scenario.start(
      deploying({
        version: 'lost',
        bake: '60s',
        before: `  build:
    commands: [mkdir -p out, echo built > out/result.txt, echo scratch > scratch.txt]
    artifacts: { paths: [out/] }
  announce:
    needs: [build]
    env: { CHANNEL: releases }
    commands: [test -f scratch.txt]
    undo: { commands: ['echo "$CHANNEL $(cat out/result.txt) $(ls scratch.txt 2>/dev/null)" >> NOTES/fresh'] }
`,
      }),
    )
    await until('the release is watched', async () =>
      (await scenario.events(id)).some(({ body }) => body.type === 'deployment' && body.phase === 'verify'),
    )
    rmSync(join(scenario.system.directory, 'work/workspaces', id), { recursive: true })
    await fetch(`${scenario.system.edge}/sicken`)
    const run = await scenario.end(id)
    expect(run.status).toBe('rolled_back')
    expect(run.undo.map(({ step, status }) => `${step}: ${status}`)).toEqual(['announce: done', 'ship: done'])
    expect(scenario.readNote('fresh')).toEqual(['releases built'])
  })
})
