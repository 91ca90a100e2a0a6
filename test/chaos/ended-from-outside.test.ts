// Long because each way in which a run can be ended from outside is a story of its own.
/** Somebody ends a run or its recovery inside Temporal: it is recovered, and is not the end of anything else. */
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Client, Connection, WorkflowNotFoundError } from '@temporalio/client'
import { execa } from 'execa'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { RunDetail } from '../../src/api/run-schemas.ts'
import { settledExitCodeOf } from '../../src/cli/run-exit.ts'
import { findUpState } from '../../src/cli/up/up-file.ts'
import { environmentStateQuery } from '../../src/contract/environment-workflow.ts'
import type { RecoveryInput } from '../../src/contract/run-workflow.ts'
import { taskQueues } from '../../src/contract/task-queues.ts'
import { environmentWorkflowId, recoveryWorkflowId, runWorkflowId } from '../../src/contract/workflow-ids.ts'
import { isEndedRun } from '../../src/domain/run.ts'
import { deploying, loadStepRow, outline, startScenario, type Scenario } from '../helpers/scenario.ts'
import { until } from '../helpers/until.ts'

const environments = ['production', 'back', 'queue', 'gone', 'east', 'west']
/** The janitor comes every 30 s, what was running gets 20 s, and this machine may be busy. */
const limitMs = 240_000

/** A file in it that is called like a moment befalls whoever comes by (`src/process/fault-point.ts`). */
const points = mkdtempSync(join(tmpdir(), 'belay-points-'))

let scenario: Scenario
let connection: Connection
let temporal: Client

beforeAll(async () => {
  scenario = await startScenario({ environments, config: 'runners: { slots: 6 }\n', env: { BELAY_FAULT_POINTS: points } })
  connection = await Connection.connect({ address: findUpState(scenario.system.data)?.temporal ?? '' })
  temporal = new Client({ connection })
})

afterAll(async () => {
  await connection.close()
  await scenario.stop()
  rmSync(points, { recursive: true })
})

async function terminate(workflowId: string): Promise<void> {
  await temporal.workflow.getHandle(workflowId).terminate('a test')
}

/** While Git says nothing, which is left so. */
async function terminateUncompiled(pipeline: string, files: Record<string, string>): Promise<{ id: string; branch: string }> {
  const { git } = scenario
  git.mode = 'stalled'
  const stalled = git.stalled()
  const started = await scenario.start(pipeline, { files })
  await stalled
  await terminate(runWorkflowId(started.id))
  return started
}

/** Its history goes, too. */
async function forget(workflowId: string): Promise<void> {
  // Whoever would ask it meanwhile stands still.
  const stopped = (['up', 'main'] as const).map((part) => scenario.system.signal(part, 'SIGSTOP'))
  try {
    const { workflowService } = connection
    const { namespace } = temporal.options
    await workflowService.deleteWorkflowExecution({ namespace, workflowExecution: { workflowId } })
    await until(
      'Temporal has forgotten it',
      () =>
      temporal.workflow.getHandle(workflowId).describe().then(() => false, isNotFound), // prettier-ignore
    )
  } finally {
    for (const pid of stopped.toReversed()) process.kill(pid, 'SIGCONT')
  }
}

const fromOutside = expect.stringContaining('its workflow was ended from outside (terminated: a test)') as string

function ended(runId: string): Promise<RunDetail> {
  return until(
    'the run ends',
    async () => {
      // The server may be the one that was killed.
      const run = await scenario.system.client.getRun({ id: runId }).catch(() => undefined)
      return run !== undefined && isEndedRun(run.status) ? run : undefined
    },
    limitMs / 2,
  )
}

function blocked(runId: string): Promise<RunDetail> {
  return until(
    'the run is blocked',
    async () => {
      const run = await scenario.system.client.getRun({ id: runId })
      return run.status === 'rollback_blocked' ? run : undefined
    },
    limitMs / 2,
  )
}

/** Temporal's run id of the recovery that is under way now, and not the one of `before`. */
function recovering(runId: string, before?: string): Promise<string> {
  return until(
    'it is recovered',
    async () => {
      const found = await temporal.workflow.getHandle(recoveryWorkflowId(runId)).describe().catch(() => undefined) // prettier-ignore
      return found?.status.name === 'RUNNING' && found.runId !== before ? found.runId : undefined
    },
    limitMs / 2,
  )
}

function undos(run: RunDetail): string[] {
  return run.undo.map(({ step, status }) => `${step}: ${status}`)
}

async function served(environment: string): Promise<string> {
  const response = await fetch(`${scenario.system.edgeOf(environment)}/version`)
  return response.ok ? await response.text() : String(response.status)
}

async function release(version: string, environment: string): Promise<void> {
  expect(await scenario.run(deploying({ version, environment }))).toMatchObject({ status: 'succeeded' })
}

function isNotFound(error: unknown): boolean {
  if (error instanceof WorkflowNotFoundError) return true
  throw error
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

/** SIGKILL to both; resolves when others do their work. */
async function killTemporalAndMain(): Promise<void> {
  const { system } = scenario
  const killed = { temporal: system.kill('temporal'), main: system.kill('main') }
  await until('both are back', () => {
    const parts = findUpState(system.data)?.parts
    return (['temporal', 'main'] as const).every((part) => parts?.[part] !== undefined && parts[part] !== killed[part])
  })
  const isReady = () => system.client.ready().then(() => true, () => false) // prettier-ignore
  await until('the server is ready', isReady)
}

async function belay(...args: string[]) {
  const { url, token, directory } = scenario.system
  const main = fileURLToPath(new URL('../../dist/src/cli/main.js', import.meta.url))
  const env = { BELAY_URL: url, BELAY_TOKEN: token, NO_COLOR: '1' }
  const { exitCode, stdout, stderr } = await execa(process.execPath, [main, ...args], { cwd: directory, env, reject: false })
  return { code: exitCode, out: stdout, err: stderr }
}

test(
  'a run terminated in mid-build ends errored: nothing of it goes on, finally has run, the next push is released',
  { timeout: limitMs },
  async () => {
    const { id } = await scenario.start(`steps:
  long: { commands: ['echo $$ > NOTES/long', sleep 300] }
  never: { commands: ['true'] }
finally:
  told: { commands: ["echo $BELAY_STATUS >> NOTES/long-told"] }
`)
    const [pid] = await scenario.noted('long')
    expect(isAlive(Number(pid))).toBe(true)
    await terminate(runWorkflowId(id))
    await until('its command is gone', () => !isAlive(Number(pid)))
    scenario.system.kill('main')
    const run = await ended(id)
    expect(run).toMatchObject({ status: 'errored', reason: fromOutside })
    expect(outline(run)).toEqual(['long: errored', 'never: skipped', 'told: succeeded'])
    expect(loadStepRow(run, 'long').reason).toContain('ended from outside')
    expect(scenario.readNote('long-told')).toHaveLength(1)
    await until('its workspace is gone', () => !existsSync(join(scenario.system.directory, 'work/workspaces', id)))
    expect((await belay('show', String(run.number))).out).toContain('ended from outside (terminated: a test)')
    await release('after', 'production')
  },
)

test('terminated before it was compiled, it has the other pipelines of its push run', { timeout: limitMs }, async () => {
  const other = "steps: { ran: { commands: ['echo ran >> NOTES/other'] } }\n".replace('NOTES', scenario.notes)
  const files = { '.belay/other.yml': other, '.belay/third.yml': other.replace('ran:', 'too:') }
  const { id, branch } = await terminateUncompiled("steps: { never: { commands: ['echo never >> NOTES/other'] } }\n", files)
  scenario.git.mode = 'any-commit'
  expect(await ended(id)).toMatchObject({ status: 'errored', reason: fromOutside })
  const { items } = await scenario.system.client.listRuns({ branch })
  const others = items.filter((run) => run.id !== id)
  const ends = await Promise.all(others.map((run) => ended(run.id)))
  expect(ends.map(({ pipelineName, status }) => `${String(pipelineName)}: ${status}`).toSorted()).toEqual([
    'other: succeeded',
    'third: succeeded',
  ])
  expect(scenario.readNote('other')).toEqual(['ran', 'ran'])
})

test('terminated before it was compiled and then cancelled, it starts none of them', { timeout: limitMs }, async () => {
  const { client } = scenario.system
  const never = "steps: { never: { commands: ['true'] } }\n"
  const { id, branch } = await terminateUncompiled(never, { '.belay/other.yml': never })
  await until(
    'its recovery waits for the commit',
    async () => (await scenario.events(id)).some(({ body }) => body.type === 'waiting' && body.for.startsWith('the commit')),
    limitMs / 2,
  )
  await client.cancelRun({ id }, { reason: 'not wanted' })
  expect(await ended(id)).toMatchObject({ status: 'cancelled', reason: expect.stringContaining('not wanted') as string })
  scenario.git.mode = 'any-commit'
  expect((await client.listRuns({ branch })).items.map((run) => run.id)).toEqual([id])
})

test(
  'terminated when its release is provisional, and Temporal and main killed: the old release serves, and the undo had its own workspace',
  { timeout: limitMs },
  async () => {
    await release('old', 'back')
    const before = "  migrate: { commands: [echo kept > state], undo: { commands: ['cat state >> NOTES/back'] } }\n"
    const after = '  hold: { commands: [echo here > NOTES/back-hold, sleep 300] }\n'
    const { id } = await scenario.start(deploying({ version: 'new', environment: 'back', before, after }))
    await scenario.noted('back-hold')
    expect(await served('back')).toBe('new')
    await terminate(runWorkflowId(id))
    await killTemporalAndMain()
    await recovering(id)
    await killTemporalAndMain()
    const run = await ended(id)
    expect(run).toMatchObject({ status: 'rolled_back', reason: fromOutside })
    expect(undos(run)).toEqual(['migrate: done', 'ship: done'])
    expect(outline(run)).toEqual([
      ...['migrate: succeeded', 'image: succeeded', 'image_release: succeeded', 'ship: succeeded'],
      'hold: errored',
    ])
    expect(await served('back')).toBe('old')
    expect(scenario.readNote('back')).toEqual(['kept'])
  },
)

test('a recovery that is terminated too is begun again, and does not do again what was done', { timeout: limitMs }, async () => {
  const { id } = await scenario.start(`steps:
  one: { commands: ['true'], undo: { commands: [echo one >> NOTES/twice, 'while [ ! -e NOTES/twice-go ]; do sleep 0.1; done'] } }
  two: { commands: ['true'], undo: { commands: [echo two >> NOTES/twice] } }
  hold: { commands: [echo here > NOTES/twice-hold, sleep 300] }
finally:
  told: { commands: [echo told >> NOTES/twice] }
`)
  await scenario.noted('twice-hold')
  await terminate(runWorkflowId(id))
  const first = await recovering(id)
  await terminate(recoveryWorkflowId(id))
  const second = await recovering(id, first)
  await until('the first undo has been begun', () => scenario.readNote('twice').includes('one'), limitMs / 2)
  await terminate(recoveryWorkflowId(id))
  await recovering(id, second)
  writeFileSync(join(scenario.notes, 'twice-go'), '')
  const run = await ended(id)
  expect(run).toMatchObject({ status: 'rolled_back', reason: fromOutside })
  expect(undos(run)).toEqual(['one: done', 'two: done'])
  expect(scenario.readNote('twice')).toEqual(['two', 'one', 'one', 'told'])
})

const hindered = (note: string): string => `steps:
  one: { commands: ['true'], undo: { commands: [echo tried >> NOTES/${note}, test -e NOTES/${note}-free], retry: { max: 1 } } }
  hold: { commands: [echo here > NOTES/${note}-hold, sleep 300] }
finally:
  told: { commands: [echo told >> NOTES/${note}] }
`

test(
  'a recovery that is blocked waits, also after it was terminated, and a retry takes the run back',
  { timeout: limitMs },
  async () => {
    const { id, number } = await scenario.start(hindered('retry'))
    await scenario.noted('retry-hold')
    await terminate(runWorkflowId(id))
    expect(await blocked(id)).toMatchObject({ reason: 'could not be taken back: one' })
    const before = ['tried', 'tried', 'told']
    expect(scenario.readNote('retry')).toEqual(before)
    const first = await recovering(id)
    await terminate(recoveryWorkflowId(id))
    await recovering(id, first)
    await blocked(id)
    expect(scenario.readNote('retry')).toEqual(before)
    writeFileSync(join(scenario.notes, 'retry-free'), '')
    const { code, err } = await until('the retry is taken', async () => {
      const answer = await belay('retry', String(number), '--reason', 'there is room')
      return answer.err.includes('not yet') ? undefined : answer
    })
    expect({ code, err }).toEqual({ code: 0, err: '' })
    expect(await ended(id)).toMatchObject({ status: 'rolled_back', reason: fromOutside })
    expect(scenario.readNote('retry')).toEqual([...before, 'tried'])
  },
)

test('a run terminated while it is blocked is blocked again, and a skip ends it', { timeout: limitMs }, async () => {
  const { id, number } = await scenario.run(`steps:
  one: { commands: ['true'], undo: { commands: [echo tried >> NOTES/skip, "false"], retry: { max: 1 } } }
  last: { commands: ['false'] }
`)
  await terminate(runWorkflowId(id))
  await recovering(id)
  await blocked(id)
  const { code, err } = await until('the skip is taken', async () => {
    const answer = await belay('skip', String(number), '--reason', 'done by hand')
    return answer.err.includes('not yet') ? undefined : answer
  })
  expect({ code, err }).toEqual({ code: settledExitCodeOf('rollback_failed'), err: '' })
  const run = await ended(id)
  expect(run).toMatchObject({ status: 'rollback_failed', reason: expect.stringContaining('done by hand') as string })
  expect(scenario.readNote('skip')).toEqual(['tried', 'tried'])
})

test('a run that had settled ends as it would have, whoever ends its workflow', { timeout: limitMs }, async () => {
  const { id } = await scenario.start(`steps:
  one: { commands: ['true'], undo: { commands: [echo undone >> NOTES/settled] } }
finally:
  told: { commands: [echo told >> NOTES/settled, 'while [ ! -e NOTES/settled-go ]; do sleep 0.1; done'] }
`)
  await scenario.noted('settled')
  await terminate(runWorkflowId(id))
  writeFileSync(join(scenario.notes, 'settled-go'), '')
  const run = await ended(id)
  expect(run.status).toBe('succeeded')
  expect(run.reason).toBeUndefined()
  expect(undos(run)).toEqual(['one: discharged'])
  expect(scenario.readNote('settled')).not.toContain('undone')
})

test.each([
  ['terminated', terminate],
  ['forgotten', forget],
] as const)('a run that is %s is taken back to its last settling point', { timeout: limitMs }, async (how, end) => {
  const { id } = await scenario.start(`steps:
  one: { commands: ['true'], undo: { commands: [echo one >> NOTES/${how}] } }
  point: { commands: ['true'], settle: true }
  two: { commands: ['true'], undo: { commands: [echo two >> NOTES/${how}] } }
  hold: { commands: [echo here > NOTES/${how}-hold, sleep 300] }
`)
  await scenario.noted(`${how}-hold`)
  await end(runWorkflowId(id))
  const run = await ended(id)
  expect(run.status).toBe('rolled_back')
  expect(undos(run)).toEqual(['one: discharged', 'two: done'])
  expect(scenario.readNote(how)).toEqual(['two'])
})

test('a run that is terminated in the middle of settling has settled', { timeout: limitMs }, async () => {
  const after = `  point: { commands: ['echo here > NOTES/point', 'while [ ! -e NOTES/point-go ]; do sleep 0.1; done'], settle: true }
  later: { commands: [echo later >> NOTES/later] }
`
  const group = deploying({ version: 'new', environment: 'GROUP', after })
  const { id } = await scenario.start(group.replace('environment: GROUP', 'environments: [east, west]'))
  await scenario.noted('point')
  const silent = deploying({ version: 'silent', environment: 'west', entrypoint: '[node, -e, "setInterval(() => 0, 1000)"]' })
  const other = await scenario.start(silent.replace('timeout: 5s', 'timeout: 55s'))
  await until('the other one is waited for', async () =>
    (await scenario.events(other.id)).some(({ body }) => body.type === 'deployment' && body.phase === 'check'),
  )
  // Whoever owns it next waits until what was under way is over before it answers.
  await terminate(environmentWorkflowId('west'))
  writeFileSync(join(scenario.notes, 'point-go'), '')
  await until('east has kept it', async () => {
    const { history } = await temporal.workflow.getHandle(environmentWorkflowId('east')).query(environmentStateQuery)
    return history.at(-1)?.status === 'kept'
  })
  const { undo } = await scenario.system.client.getRun({ id })
  expect(undo.map(({ status }) => status)).toEqual(['owed', 'owed'])
  await terminate(runWorkflowId(id))
  const run = await ended(id)
  expect(run).toMatchObject({ status: 'errored', reason: fromOutside })
  expect(undos(run)).toEqual(['ship: discharged', 'ship: discharged'])
  expect(outline(run).at(-1)).toBe('later: skipped')
  expect(scenario.readNote('later')).toEqual([])
  await ended(other.id)
  expect([await served('east'), await served('west')]).toEqual(['new', 'new'])
})

test('a run of which Temporal knows nothing any more is recovered by what the store knows', { timeout: limitMs }, async () => {
  await release('kept', 'gone')
  const before = "  migrate: { commands: ['true'], undo: { commands: [echo undone >> NOTES/gone] } }\n"
  const after = `  hold: { commands: [echo here > NOTES/gone-hold, sleep 300] }
finally:
  told: { commands: [echo told >> NOTES/gone] }
`
  const { id } = await scenario.start(deploying({ version: 'new', environment: 'gone', before, after }))
  await scenario.noted('gone-hold')
  await forget(runWorkflowId(id))
  const run = await ended(id)
  expect(run.status).toBe('rolled_back')
  expect(run.reason).toContain('cannot be asked')
  expect(undos(run)).toEqual(['migrate: done', 'ship: done'])
  expect(await served('gone')).toBe('kept')
  expect(scenario.readNote('gone')).toEqual(['undone', 'told'])
})

test(
  'a run that had gone on after its end and is terminated in mid-step ends in that round: finally has run for it, the attempts before stay',
  { timeout: 2 * limitMs },
  async () => {
    const { id, number } = await scenario.start(`steps:
  build: { commands: [echo built > made], artifacts: { paths: [made] } }
  gate: { commands: ['test -e NOTES/round-open', 'echo "saw $(cat made)" >> NOTES/round-hold', sleep 300] }
  last: { commands: ['true'] }
finally:
  told: { commands: [echo told >> NOTES/round] }
`)
    expect(await ended(id)).toMatchObject({ status: 'failed' })
    writeFileSync(join(scenario.notes, 'round-open'), '')
    expect((await belay('retry', String(number), '--detach')).code).toBe(0)
    await scenario.noted('round-hold')
    // Whoever takes it for one that was ended is told so, and changes nothing.
    const { sequence, project, trigger } = await scenario.system.client.getRun({ id })
    const options = { taskQueue: taskQueues.control, workflowId: recoveryWorkflowId(id, 1) }
    const input: RecoveryInput = { run: { id, number, project, sequence, trigger }, round: 1 }
    const mistaken = await temporal.workflow.start('recovery', { ...options, args: [input] })
    await expect(mistaken.result()).rejects.toMatchObject({ cause: { cause: { type: 'conflict' } } })
    expect(await scenario.system.client.getRun({ id })).toMatchObject({ status: 'running', round: 1 })
    await terminate(runWorkflowId(id, 1))
    scenario.system.kill('main')
    const once = await ended(id)
    expect(once).toMatchObject({ status: 'errored', reason: fromOutside, round: 1 })
    expect(outline(once)).toEqual([
      ...['build: succeeded', 'gate: failed', 'gate: errored', 'last: skipped', 'last: skipped'],
      ...['told: succeeded', 'told: succeeded'],
    ])
    expect(scenario.readNote('round')).toEqual(['told', 'told'])
    // Once more, before it knows with what it goes on.
    writeFileSync(join(points, 'activity.loadResume.before'), 'kill')
    expect((await belay('retry', String(number), '--detach')).code).toBe(0)
    await until('it has begun', () => readdirSync(points).some((name) => name.startsWith('activity.loadResume.before.taken')))
    await terminate(runWorkflowId(id, 2))
    const twice = await ended(id)
    expect(twice).toMatchObject({ status: 'errored', reason: fromOutside, round: 2 })
    expect(outline(twice)).toEqual([
      ...[
        'build: succeeded',
        'gate: failed',
        'gate: errored',
        'gate: skipped',
        'last: skipped',
        'last: skipped',
        'last: skipped',
      ],
      ...['told: succeeded', 'told: succeeded', 'told: succeeded'],
    ])
    expect(scenario.readNote('round')).toEqual(['told', 'told', 'told'])
    expect(scenario.readNote('round-hold')).toEqual(['saw built'])
  },
)

test('a cancel goes to the recovery, as long as that has not begun to take the run back', { timeout: limitMs }, async () => {
  const { id } = await scenario.start(`steps:
  one: { commands: ['true'], undo: { commands: [echo undone >> NOTES/cancel] } }
  hold: { commands: [echo here > NOTES/cancel-hold, sleep 300] }
`)
  await scenario.noted('cancel-hold')
  await terminate(runWorkflowId(id))
  // The next one has a janitor that looks at once, well within the time that what was running gets.
  scenario.system.kill('main')
  await recovering(id)
  await until(
    'the cancel is taken',
    () =>
    scenario.system.client.cancelRun({ id }, { reason: 'not wanted' }).then(() => true, () => false), // prettier-ignore
  )
  const run = await ended(id)
  expect(run).toMatchObject({
    status: 'cancelled',
    reason: expect.stringContaining('not wanted; its workflow was ended') as string,
  })
  expect(scenario.readNote('cancel')).toEqual(['undone'])
})

test('a queued deployment of a terminated run is never begun', { timeout: limitMs }, async () => {
  await release('kept', 'queue')
  const watched = await scenario.start(deploying({ version: 'watched', environment: 'queue', bake: '5m' }))
  await until('it is watched', async () => (await served('queue')) === 'watched')
  const { id } = await scenario.start(deploying({ version: 'queued', environment: 'queue' }))
  await until('it is queued', async () => {
    const { queue } = await temporal.workflow.getHandle(environmentWorkflowId('queue')).query(environmentStateQuery)
    return queue.some(({ runId }) => runId === id)
  })
  await terminate(runWorkflowId(id))
  expect(await ended(id)).toMatchObject({ status: 'rolled_back', reason: fromOutside })
  await scenario.system.client.cancelRun({ id: watched.id }, {})
  expect(await ended(watched.id)).toMatchObject({ status: 'cancelled' })
  expect(await served('queue')).toBe('kept')
  const { items } = await scenario.system.client.listDeployments('queue')
  expect(items.filter(({ runId }) => runId === id)).toEqual([])
})

test(
  'a run cancelled in Temporal itself stops and is taken back; a second cancel, and one during the undo, change nothing',
  { timeout: limitMs },
  async () => {
    const pipeline = (note: string): string => `steps:
  one: { commands: ['true'], undo: { commands: [echo undoing >> NOTES/${note}, 'while [ ! -e NOTES/${note}-go ]; do sleep 0.1; done', echo undone >> NOTES/${note}] } }
  hold: { commands: [echo here > NOTES/${note}-hold, sleep 300] }
`
    const [inside, ours] = [await scenario.start(pipeline('inside')), await scenario.start(pipeline('ours'))]
    await Promise.all([scenario.noted('inside-hold'), scenario.noted('ours-hold')])
    const { client } = scenario.system
    await temporal.workflow.getHandle(runWorkflowId(inside.id)).cancel()
    for (const reason of ['the first', 'the second']) await client.cancelRun({ id: ours.id }, { reason })
    await Promise.all([scenario.noted('inside'), scenario.noted('ours')])
    await temporal.workflow.getHandle(runWorkflowId(inside.id)).cancel()
    await client.cancelRun({ id: ours.id }, { reason: 'the third' })
    for (const note of ['inside', 'ours']) writeFileSync(join(scenario.notes, `${note}-go`), '')
    const ends = await Promise.all([ended(inside.id), ended(ours.id)])
    expect(ends).toMatchObject([
      { status: 'cancelled', reason: expect.stringContaining('in Temporal') as string },
      { status: 'cancelled', reason: 'the first' },
    ])
    for (const note of ['inside', 'ours']) expect(scenario.readNote(note)).toEqual(['undoing', 'undone'])
  },
)
