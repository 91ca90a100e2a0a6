// Long because each effect that must be single has its made-up evidence here, good and bad.
import { appendFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { EnvironmentRecord } from '../../../src/embedded/keeper/keeper-state.ts'
import type { Plan } from '../../../src/domain/plan.ts'
import type { UndoItem } from '../../../src/domain/run-event.ts'
import type { RunEnd } from '../../../src/domain/run.ts'
import { commandsStep, planOf } from '../../../src/runner/testing/plan.ts'
import type { Run } from '../../../src/store/store.ts'
import type { EnvironmentMemory, Memory } from '../memory.ts'
import { effectsAreSingle } from './effects-are-single.ts'
import { change, execution, linesOf, smallWorlds, type SmallWorld } from './testing.ts'

const openWorld = smallWorlds()

const chain = planOf([
  commandsStep('build', ['make'], { undo: undoOf('unmake') }),
  commandsStep('check', ['check'], { needs: ['build'] }),
])

describe('commands: nothing to say of', () => {
  it('steps that ended once', async () => {
    const { small } = await one()
    const finding = await effectsAreSingle(await remember(small))
    expect(linesOf(finding.violations)).toEqual([])
    expect(finding.looked).toMatchObject({ 'I4 commands': 4, 'I4 commit statuses': 1 })
  })

  it('a step that ended twice because it was interrupted between its end and its outcome', async () => {
    const { small, run } = await one({ silent: true })
    small.note(`begin ${run.id} build 1`, `end ${run.id} build 1`, `begin ${run.id} build 1`, `end ${run.id} build 1`)
    await small.writeLog({ runId: run.id, epoch: 1 }, 'build line 1 of 1\n[belay] cut off: the runner was killed\n')
    await small.writeLog({ runId: run.id, epoch: 2 }, 'build line 1 of 1\n')
    expect(await judge(small)).toEqual([])
  })

  it('a finished step that runs again as a new attempt, where its workspace was lost', async () => {
    const { small, run } = await one({ silent: true })
    await small.tell(run, [
      { type: 'workspace', runner: 'runner-a', epoch: 1, status: 'lost' },
      { type: 'step', change: change('build', 'running', { attempt: 2, epoch: 2 }) },
    ])
    small.note(
      `begin ${run.id} build 1`,
      `end ${run.id} build 1`,
      `begin ${run.id} check 1`,
      `begin ${run.id} build 2`,
      `end ${run.id} build 2`,
    )
    expect(await judge(small)).toEqual([])
  })

  it('steps that ended twice, as their runner was lost before anybody heard of it', async () => {
    const { small } = await unheard(2)
    expect(await judge(small)).toEqual([])
  })
})

/** Build and check ended so often; of the first time there is neither log nor news. */
async function unheard(times: number) {
  const changes = ['build', 'check'].map((step) => change(step, 'succeeded', { epoch: 2 }))
  const made = await one({ silent: true, changes })
  const { small, run } = made
  await small.tell(run, [{ type: 'workspace', runner: 'runner-a', epoch: 1, status: 'lost' }])
  for (let time = 0; time < times; time += 1)
    for (const step of ['build', 'check']) small.note(`begin ${run.id} ${step} 1`, `end ${run.id} ${step} 1`)
  for (const step of ['build', 'check']) await small.writeLog({ runId: run.id, step, epoch: 2 }, `${step} line 1 of 1\n`)
  return made
}

describe('commands: says that', () => {
  it('steps ended more often than a runner was lost with them', async () => {
    const { small, run } = await unheard(3)
    expect(await judge(small)).toContain(`I4 run ${run.id}, step build, attempt 1: ended 3 times; it ran under the epochs [2]`)
  })

  it.each<[string, string[], string]>([
    [
      'a step ended twice and was never interrupted',
      ['begin build 1', 'end build 1', 'begin build 1', 'end build 1'],
      'ended 2 times; it ran under the epochs [1]',
    ],
    ['a step ended more often than it began', ['end build 1'], 'began 0 times and ended 1 times'],
    ['a step that the plan does not have', ['begin other 1', 'end other 1'], 'ran, and the plan has no step other/1'],
    [
      'a finished step began again',
      ['begin build 1', 'end build 1', 'begin check 1', 'begin build 1'],
      'ended at attempt 1, check began after it, and it began again at attempt 1',
    ],
    [
      'a finished step began again as a new attempt, and no workspace was lost',
      ['begin build 1', 'end build 1', 'begin check 1', 'begin build 2', 'end build 2'],
      'ended at attempt 1, check began after it, and it began again at attempt 2',
    ],
  ])('%s', async (_, notes, facts) => {
    const { small, run } = await one({ silent: true })
    small.note(...notes.map((line) => line.replace(' ', ` ${run.id} `)))
    expect((await judge(small)).join('\n')).toContain(facts)
  })

  it('a step that had succeeded ran again under a later epoch, by the events', async () => {
    const { small, run } = await one()
    await small.tell(run, [{ type: 'step', change: change('build', 'running', { attempt: 2, epoch: 2 }) }])
    expect(await judge(small)).toEqual([
      `I4 run ${run.id}, step build: succeeded at attempt 1 under epoch 1, and ran again at attempt 2 under epoch 2`,
    ])
  })

  it('a step succeeded at two attempts', async () => {
    const { small, run } = await one({
      silent: true,
      changes: [change('build', 'succeeded'), change('build', 'succeeded', { attempt: 2 })],
    })
    expect(await judge(small)).toEqual([`I4 run ${run.id}, step build: succeeded at the attempts 1, 2`])
  })

  it('a line is torn, or of a run that nobody knows', async () => {
    const { small } = await one()
    small.note('begin half', 'begin 0a0a0a0a-0000-4000-8000-000000000000 build 1')
    expect(await judge(small)).toEqual([
      'I4 the notes: a line that no step writes whole: "begin half"',
      'I4 run 0a0a0a0a-0000-4000-8000-000000000000: steps of it ran, and the store does not know it',
    ])
  })
})

describe('a run that goes on after its end', () => {
  const failed = {
    end: 'failed' as const,
    changes: [change('build', 'running'), change('build', 'succeeded'), change('check', 'failed')],
  }
  const again = (step: string) => [
    change(step, 'running', { attempt: 2, epoch: 2 }),
    change(step, 'succeeded', { attempt: 2, epoch: 2 }),
  ]

  it('does again what did not succeed, was taken back, or is wanted; and what needs it', async () => {
    const { small, run } = await one(failed)
    await small.carryOut(await small.goOn(run), { plan: chain, changes: again('check') })
    await tellForge(small, run, 'pending', 'success')
    expect(await judge(small)).toEqual([])

    const other = await one({ ...failed, undo: 'done', end: 'rolled_back' })
    other.small.note(`undo ${other.run.id} build 1`)
    await other.small.carryOut(await other.small.goOn(other.run), { plan: chain, changes: ['build', 'check'].flatMap(again) })
    await tellForge(other.small, other.run, 'success')
    expect(await judge(other.small)).toEqual([])

    const wanted = await one(failed)
    await wanted.small.carryOut(await wanted.small.goOn(wanted.run, { from: 'build' }), {
      plan: chain,
      changes: ['build', 'check'].flatMap(again),
    })
    await tellForge(wanted.small, wanted.run, 'success')
    expect(await judge(wanted.small)).toEqual([])
  })

  it('may do a step again that is told of only when it has ended, and its steps of finally', async () => {
    const { small, run } = await one({
      ...failed,
      changes: [change('build', 'succeeded'), change('tell', 'succeeded')],
      silent: true,
    })
    const changes = ['build', 'tell'].map((step) => change(step, 'succeeded', { attempt: 2, epoch: 2 }))
    await small.carryOut(await small.goOn(run, { from: 'build' }), { plan: chain, changes, silent: true })
    await tellForge(small, run, 'success')
    expect(await judge(small)).toEqual([])
  })

  it('is said to have done a finished step again that nobody wanted', async () => {
    const { small, run } = await one(failed)
    await small.carryOut(await small.goOn(run, { from: 'check' }), { plan: chain, changes: ['build', 'check'].flatMap(again) })
    await tellForge(small, run, 'success')
    expect(await judge(small)).toContain(
      `I4 run ${run.id}, step build: succeeded at attempt 1 under epoch 1, and ran again at attempt 2 under epoch 2`,
    )
  })

  it('is said to have done a step twice within one round', async () => {
    const { small, run } = await one(failed)
    const twice = [...again('check'), change('check', 'running', { attempt: 3, epoch: 2 })]
    await small.carryOut(await small.goOn(run), { plan: chain, changes: twice })
    await tellForge(small, run, 'success')
    expect((await judge(small)).join()).toContain('succeeded at attempt 2 under epoch 2, and ran again at attempt 3')
  })

  it('owes its undos anew: that of the first round does not count for the second', async () => {
    const { small, run } = await one({ ...failed, undo: 'done', end: 'rolled_back' })
    small.note(`undo ${run.id} build 1 ${String(Date.now() - 50)}`)
    const resumed = await small.goOn(run)
    const undo = (['owed', 'running', 'done'] as const).map((status) => ({ step: 'build', does: 'unmake', status }))
    await small.carryOut(resumed, { plan: chain, end: 'rolled_back', changes: ['build', 'check'].flatMap(again), undo })
    expect(await judge(small)).toEqual([
      `I4 run ${run.id}, undo of build in round 1: is done by the run, and the far side saw nothing of it`,
    ])
    small.note(`undo ${run.id} build 1 ${String(Date.now() + 50)}`)
    expect(await judge(small)).toEqual([])
  })

  it('tells its forge of the end it has now', async () => {
    const { small, run } = await one(failed)
    await small.carryOut(await small.goOn(run), { plan: chain, changes: again('check') })
    expect((await judge(small)).join()).toContain(`the last word was failure (Run failure`)
    await tellForge(small, run, 'success')
    expect(await judge(small)).toEqual([])
  })
})

describe('finally', () => {
  const commands = { lines: ['tell'], shell: 'sh' as const, workingDirectory: '.' }
  const plan: Plan = { ...chain, finally: [{ id: 'tell', statuses: [], commands, env: {}, timeoutMs: 1_000 }] }

  it('is right once in each round, and more often where it was cut short or recovered', async () => {
    const { small, run } = await one({ plan, end: 'failed', changes: [change('build', 'running'), change('build', 'failed')] })
    small.note(`finally ${run.id} tell 1`)
    const changes = [change('build', 'running', { attempt: 2 }), change('build', 'succeeded', { attempt: 2 })]
    await small.carryOut(await small.goOn(run), { plan, changes })
    await tellForge(small, run, 'success')
    small.note(`finally ${run.id} tell 2`)
    const finding = await effectsAreSingle(await remember(small))
    expect([linesOf(finding.violations), finding.looked['I4 finally']]).toEqual([[], 2])
    small.note(`finally ${run.id} tell 2`)
    const about = `I4 run ${run.id}, finally tell of round 1`
    expect(await judge(small)).toEqual([
      `${about}: was carried out 2 times; it ran under the epochs [], and was recovered 0 times`,
    ])
    small.executions.push(execution(`recovery/${run.id}/retry-1`))
    expect(await judge(small)).toEqual([])
    small.note(`finally ${run.id} tell 2`)
    for (const epoch of [3, 4]) await small.writeLog({ runId: run.id, step: 'tell', attempt: 2, epoch, part: 'finally' }, 'x\n')
    expect(await judge(small)).toEqual([])
  })

  it('is said to be missing, or to be of a round that never was', async () => {
    const { small, run } = await one({ plan })
    expect(await judge(small)).toEqual([`I4 run ${run.id}, finally tell of round 0: was not carried out`])
    small.note(`finally ${run.id} tell 1`, `finally ${run.id} tell 2`)
    expect(await judge(small)).toEqual([`I4 run ${run.id}, finally tell: ran as attempt 2, and the run went on 0 times`])
  })

  it('may be missing where the run says that it could not be begun', async () => {
    const errored = change('tell', 'errored', { reason: 'no space left on device' })
    const { small } = await one({ plan, changes: [change('build', 'running'), change('build', 'succeeded'), errored] })
    expect(await judge(small)).toEqual([])
  })

  it('is not owed by a run that carried nothing out', async () => {
    const { small } = await one({ plan, changes: [change('build', 'skipped')] })
    expect(await judge(small)).toEqual([])
  })
})

describe('what a step left for another', () => {
  const result = { checkpoint: { digest: `sha256:${'0'.repeat(64)}`, sizeBytes: 1, steps: ['build'] } }
  const plan: Plan = planOf([
    commandsStep('build', ['make'], { checkpoint: true }),
    commandsStep('check', ['check'], { needs: ['build'] }),
  ])

  it('is said to be wrong, or to be missing though it lay under a checkpoint', async () => {
    const { small, run } = await one({ plan, changes: [change('build', 'succeeded', { result })] })
    expect(await judge(small)).toEqual([])
    small.note(`wrong ${run.id} check 1`, `missing ${run.id} check 1`)
    expect(await judge(small)).toEqual([
      `I4 run ${run.id}, step check, attempt 1: an artifact was not what the step that made it had left`,
      `I4 run ${run.id}, step check, attempt 1: what its workspace had at the checkpoint was not there`,
    ])
  })

  it('may be missing where no checkpoint could be stored', async () => {
    const { small, run } = await one({ plan, changes: [change('build', 'succeeded')] })
    small.note(`missing ${run.id} check 1`)
    expect(await judge(small)).toEqual([])
  })
})

describe('migrations', () => {
  it('went up and down by turns', async () => {
    const { small } = await one()
    noteMigrations(small, ['up 7 1-2', 'up 8 3-4', 'down 8 5-6', 'up 8 7-8', 'down 8 9-10', 'down 7 11-12'].flatMap(whole))
    const finding = await effectsAreSingle(await remember(small))
    expect([linesOf(finding.violations), finding.looked['I4 migrations']]).toEqual([[], 6])
  })

  const overlap = ['up begin red 7 1', 'up begin red 8 3', 'up end red 7 4', 'up end red 8 5']

  it.each<[string, string[], string, number]>([
    [
      'went up twice',
      ['up 7 1-2', 'up 7 3-4'].flatMap(whole),
      'up (3 to 4) came after up (1 to 2), and nothing was cut short',
      0,
    ],
    ['went down and had never gone up', whole('down 7 1-2'), 'down (1 to 2) came after nothing', 0],
    ['never ended', ['up begin red 7 1'], 'up (1 to …) never ended, and nothing cut it short', 0],
    ['was still going on when another began', overlap, 'up (1 to 4) was still going on when up of 8 began at 3', 1],
  ])('says that one %s; what a fault excuses it excuses', async (_, lines, facts, stays) => {
    const { small } = await one()
    noteMigrations(small, lines)
    expect((await judge(small)).join()).toContain(`I4 environment red, migration 7: ${facts}`)
    small.ledger.faults.push({ at: 1, name: 'kill keeper', healedAt: 2 })
    expect(await judge(small)).toHaveLength(stays)
  })

  it('a line that none writes', async () => {
    const { small } = await one()
    noteMigrations(small, ['up begin'])
    expect(await judge(small)).toEqual(['I4 the notes of migrations: a line that none writes whole: "up begin"'])
  })
})

/** The two lines of one that ended. */
function whole(ran: string): string[] {
  const [, what = '', version = '', from = '', until = ''] = /^(\w+) (\w+) (\d+)-(\d+)$/.exec(ran) ?? []
  return [`${what} begin red ${version} ${from}`, `${what} end red ${version} ${until}`]
}

function noteMigrations({ world }: SmallWorld, lines: string[]): void {
  appendFileSync(join(world.notes, 'migrations'), lines.map((line) => `${line}\n`).join(''))
}

describe('undos', () => {
  it('one that was run, even twice, is right', async () => {
    const { small, run } = await one({ end: 'rolled_back', undo: 'done' })
    small.note(`undo ${run.id} build 1`, `undo ${run.id} build 2`)
    const finding = await effectsAreSingle(await remember(small))
    expect([linesOf(finding.violations), finding.looked['I4 undos']]).toEqual([[], 1])
  })

  it.each<[string, UndoItem['status'], boolean, string]>([
    ['done by the run, and not at the far side', 'done', false, 'is done by the run, and the far side saw nothing of it'],
    ['owed for ever', 'owed', false, 'is still owed, and the run has ended'],
  ])('says that one was %s', async (_, status, ran, facts) => {
    const { small, run } = await one({ undo: status })
    if (ran) small.note(`undo ${run.id} build 1`)
    expect((await judge(small)).join('\n')).toContain(`I4 run ${run.id}, undo of build: ${facts}`)
  })

  it('says that one was run of which the run tells nothing', async () => {
    const { small, run } = await one({ undo: 'discharged', tellsRunning: false })
    small.note(`undo ${run.id} build 1`)
    expect(await judge(small)).toEqual([`I4 run ${run.id}, undo of build: was run, and no event of the run says so`])
  })

  it('says that one was run that was never owed', async () => {
    const { small, run } = await one()
    small.note(`undo ${run.id} check 1`)
    expect(await judge(small)).toEqual([`I4 run ${run.id}, undo of check: was run, and the run never owed it`])
  })
})

describe('commit statuses', () => {
  it.each<[RunEnd, string]>([
    ['succeeded', 'success'],
    ['failed', 'failure'],
    ['rolled_back', 'failure'],
    ['errored', 'error'],
    ['cancelled', 'error'],
    ['rollback_failed', 'error'],
  ])('of a run that ended %s the last word is %s', async (end, state) => {
    const { small, run } = await one({ end, told: [] })
    await tellForge(small, run, 'pending', state)
    expect(await judge(small)).toEqual([])
    await tellForge(small, run, 'pending')
    expect((await judge(small)).join('\n')).toMatch(
      new RegExp(`the last word was pending .*run ${run.id} ended ${end}\n.*is pending for ever`),
    )
  })

  it('says that one was never told, or is that of an older run', async () => {
    const { small, run } = await one({ told: [] })
    expect(await judge(small)).toEqual([
      `I4 commit status ${run.trigger.sha} belay/one: was never told; run ${run.id} ended succeeded`,
    ])
    await tellForge(small, { ...run, id: 'older' }, 'success')
    expect((await judge(small)).join()).toContain('the last word was success')
  })

  it('a run without a pipeline is overtaken by a newer one of its commit that has one', async () => {
    const { small, run } = await one()
    const [older] = await small.deliver({ sha: run.trigger.sha, pipelines: ['one'] })
    await small.store.runs.finish(String(older?.id), { status: 'skipped', at: 1 }, [])
    expect((await judge(small)).join()).toContain(`commit status ${run.trigger.sha} belay: was never told`)
    const [newest] = (await small.deliver({ sha: run.trigger.sha, pipelines: ['one'] })).slice(-1)
    if (newest !== undefined) await small.carryOut(newest, { plan: chain })
    if (newest !== undefined) await tellForge(small, newest, 'success')
    expect(await judge(small)).toEqual([])
  })
})

describe('deployments, by the keeper', () => {
  const operation = (fence: number, operationId: string) => ({ fence, operationId, answer: {} })

  it.each<[string, EnvironmentRecord['answered'], number, string[]]>([
    ['each once, under rising numbers', [operation(1, 'd1/stage'), operation(2, 'd1/activate')], 2, []],
    [
      'one twice',
      [operation(1, 'd1/stage'), operation(2, 'd1/stage')],
      2,
      ['carried d1/stage out 2 times, under the numbers 1, 2'],
    ],
    [
      'one under an old number',
      [operation(2, 'd2/stage'), operation(1, 'd1/stage')],
      2,
      ['carried d1/stage out under an old number, 1'],
    ],
    [
      'one that the store never gave a number for',
      [operation(3, 'd3/stage')],
      2,
      ['the keeper saw number 3, and the store knows 2'],
    ],
  ])('%s', async (_, answered, fence, facts) => {
    const { small } = await one()
    const keeper: EnvironmentRecord = { fence: answered.at(-1)?.fence ?? 0, answered, instances: [], upstreams: [] }
    const environment: EnvironmentMemory = {
      name: 'production',
      fence,
      deployments: [],
      owner: { silent: '' },
      edge: { silent: '' },
      keeper,
    }
    const finding = await effectsAreSingle({ ...(await remember(small)), environments: [environment] })
    expect(finding.violations.map((violation) => violation.facts)).toEqual(facts)
    expect(finding.looked['I4 operations']).toBe(answered.length)
  })
})

function undoOf(line: string) {
  const commands = { lines: [line], shell: 'sh' as const, workingDirectory: '.' }
  return { commands, env: {}, timeoutMs: 1_000, attempts: 1 }
}

interface One {
  end: RunEnd
  undo: UndoItem['status']
  silent: boolean
  changes: Parameters<SmallWorld['carryOut']>[1] extends { changes?: infer Changes } | undefined ? Changes : never
  plan: Plan
  told: string[]
  /** Whether an undo of it began, by its events. */
  tellsRunning: boolean
}

/** A world with one run that has ended, and whose forge knows. */
async function one(spec: Partial<One> = {}): Promise<{ small: SmallWorld; run: Run }> {
  const small = await openWorld()
  const [run] = await small.deliver()
  if (run === undefined) throw new Error('no run')
  const { end = 'succeeded', undo, told = [], tellsRunning = true, ...rest } = spec
  const item = { step: 'build', does: 'unmake' }
  const statuses: UndoItem['status'][] = [...(tellsRunning ? (['running'] as const) : []), ...(undo === undefined ? [] : [undo])]
  const undos = undo === undefined ? [] : statuses.map((status) => ({ ...item, status }))
  await small.carryOut(run, { plan: chain, ...rest, end, undo: undos })
  const isTold = spec.told === undefined && end === 'succeeded'
  await tellForge(small, run, ...(isTold ? ['success'] : told))
  if (spec.told === undefined && end !== 'succeeded') await tellForge(small, run, 'failure')
  return { small, run }
}

async function tellForge({ world }: SmallWorld, run: Pick<Run, 'id' | 'trigger'>, ...states: string[]): Promise<void> {
  for (const state of states) {
    const body = {
      state,
      context: 'belay/one',
      description: `Run ${state}`,
      target_url: `http://belay.test/api/v1/runs/${run.id}`,
    }
    const response = await fetch(`${world.forge.url}/repos/a/b/statuses/${run.trigger.sha}`, {
      method: 'POST',
      body: JSON.stringify(body),
    })
    expect(response.status).toBe(201)
  }
}

async function judge(small: SmallWorld): Promise<string[]> {
  return linesOf((await effectsAreSingle(await remember(small))).violations)
}

function remember(small: SmallWorld): Promise<Memory> {
  return small.remember()
}
