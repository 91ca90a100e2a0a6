/** The way out of `rollback_blocked`: a person has the undo tried again, or gives it up, with the commands that people use. */
import { existsSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { execa } from 'execa'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { RunDetail } from '../../src/api/run-schemas.ts'
import { findUpState } from '../../src/cli/up/up-file.ts'
import { isEndedRun } from '../../src/domain/run.ts'
import { deploying, startScenario, type Scenario } from '../helpers/scenario.ts'
import { until } from '../helpers/until.ts'

let scenario: Scenario

beforeAll(async () => {
  scenario = await startScenario()
})

afterAll(() => scenario.stop())

async function belay(...args: string[]) {
  const { url, token, directory } = scenario.system
  const main = fileURLToPath(new URL('../../dist/src/cli/main.js', import.meta.url))
  const env = { BELAY_URL: url, BELAY_TOKEN: token, NO_COLOR: '1' }
  const { exitCode, stdout, stderr } = await execa(process.execPath, [main, ...args], { cwd: directory, env, reject: false })
  return { code: exitCode, out: stdout, err: stderr }
}

/** A step whose undo tells of each try, and works once the file `free-NAME` is there. */
const hindered = (name: string, note: string): string =>
  `  ${name}: { commands: ['true'], undo: { commands: [echo tried ${name} >> NOTES/${note}, test -e NOTES/free-${note}-${name}, echo undid ${name} >> NOTES/${note}], retry: { max: 1 } } }\n`
const willing = (name: string, note: string): string =>
  `  ${name}: { commands: ['true'], undo: { commands: [echo undid ${name} >> NOTES/${note}] } }\n`
const failing = (note: string): string =>
  `  last: { commands: ['false'] }\nfinally:\n  told: { commands: [echo finally >> NOTES/${note}] }\n`

function free(name: string, note: string): void {
  writeFileSync(join(scenario.notes, `free-${note}-${name}`), '')
}

async function blocked(pipeline: string): Promise<RunDetail> {
  const run = await scenario.run(pipeline)
  expect(run.status, run.reason).toBe('rollback_blocked')
  return run
}

function show({ id }: Pick<RunDetail, 'id'>): Promise<RunDetail> {
  return scenario.system.client.getRun({ id })
}

async function ended(run: RunDetail): Promise<RunDetail> {
  return until('the run ends', async () => {
    const now = await show(run)
    return isEndedRun(now.status) ? now : undefined
  })
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

function undos(run: RunDetail): string[] {
  return run.undo.map(({ step, status }) => `${step}: ${status}`)
}

test('Temporal and main killed while it is blocked, a retry takes the run back after all; finally has run once, before it', async () => {
  const note = 'retried'
  const order = () => scenario.readNote(note)
  const run = await blocked(`steps:\n${willing('one', note)}${hindered('two', note)}${willing('three', note)}${failing(note)}`)
  expect(run.reason).toBe('could not be taken back: two')
  const before = ['undid three', 'tried two', 'tried two', 'undid one', 'finally']
  expect(order()).toEqual(before)
  const shown = await belay('show', String(run.number))
  expect(shown.out).toContain('blocked: the undo of "two" could not be done: ')
  expect(shown.out).toContain(`belay retry ${String(run.number)} --project hello`)

  await killTemporalAndMain()
  expect((await show(run)).status).toBe('rollback_blocked')
  free('two', note)
  const { code, out, err } = await belay('retry', String(run.number), '--reason', 'there is room again')
  expect({ code, err }, out).toEqual({ code: 0, err: '' })
  expect(out).toContain('tried again by admin: there is room again')
  const back = await ended(run)
  expect(back).toMatchObject({ status: 'rolled_back', reason: expect.stringContaining('step "last" failed') as string })
  expect(undos(back)).toEqual(['one: done', 'two: done', 'three: done'])
  expect(order()).toEqual([...before, 'tried two', 'undid two'])
  const { items } = await scenario.system.client.listAudit()
  expect(items).toContainEqual(
    expect.objectContaining({
      action: 'run.undo.retry',
      actor: 'token:admin',
      subject: run.id,
      data: expect.objectContaining({ reason: 'there is room again' }) as unknown,
    }),
  )
  // Nothing is left of the workspace that the retry had.
  await until('its workspace is gone', () => !existsSync(join(scenario.system.directory, 'work/workspaces', run.id)))
  const { code: late, err: why } = await belay('skip', String(run.number), '--reason', 'too late')
  expect({ late, why }).toEqual({
    late: 2,
    why: expect.stringContaining('is rolled_back: it is not blocked') as string,
  })
})

test('several blocked undos are settled in their turn; one given up ends the run rollback_failed, whatever else worked', async () => {
  const note = 'several'
  const order = () => scenario.readNote(note)
  const { client } = scenario.system
  const run = await blocked(
    `steps:\n${hindered('one', note)}${willing('two', note)}${hindered('three', note)}${hindered('four', note)}${failing(note)}`,
  )
  const number = String(run.number)
  const tried = (name: string) => [`tried ${name}`, `tried ${name}`]
  const before = [...tried('four'), ...tried('three'), 'undid two', ...tried('one'), 'finally']
  expect(order()).toEqual(before)
  expect(run.reason).toBe('could not be taken back: four, three, one')

  // Named wrongly, cancelled, given up without a reason: nothing changes.
  const wrong = await belay('retry', number, '--step', 'one')
  expect(wrong).toMatchObject({ code: 2, err: expect.stringContaining('what is blocked is the undo of "four"') as string })
  expect(await belay('cancel', number)).toMatchObject({ code: 2, err: expect.stringContaining('belay skip') as string })
  expect((await belay('skip', number)).code).toBe(2)

  // Tried again in vain, all of its attempts anew: blocked as before.
  const again = await belay('retry', number, '--step', 'four')
  expect(again.code, again.out).toBe(4)
  expect(order()).toEqual([...before, ...tried('four')])
  expect(await show(run)).toMatchObject({ status: 'rollback_blocked', reason: 'could not be taken back: four, three, one' })

  // The same key is the same request, although the next one is blocked by then.
  const skip = { action: 'skip' as const, reason: 'it was never there' }
  const first = await client.settleUndo(run, skip, 'one-key')
  expect(first.settled).toMatchObject({ step: 'four', left: ['three', 'one'] })
  expect((await client.settleUndo(run, skip, 'one-key')).settled).toEqual(first.settled)
  const next = await until('the row says so', async () => {
    const now = await show(run)
    return now.undo.some(({ status }) => status === 'skipped') ? now : undefined
  })
  expect(next.status).toBe('rollback_blocked')
  expect(undos(next)).toEqual(['one: failed', 'two: done', 'three: failed', 'four: skipped'])

  free('three', note)
  const three = await belay('retry', number)
  expect(three.code, three.out).toBe(4)
  expect(three.out).toContain('the undo of "three" is tried again')
  const one = await belay('skip', number, '--reason', 'done by hand')
  expect(one.code).toBe(4)
  const end = await ended(run)
  expect(end).toMatchObject({
    status: 'rollback_failed',
    reason: 'could not be taken back: four (skipped by admin: it was never there), one (skipped by admin: done by hand)',
  })
  expect(undos(end)).toEqual(['one: skipped', 'two: done', 'three: done', 'four: skipped'])
  expect(order()).toEqual([...before, ...tried('four'), 'tried three', 'undid three'])
  // Also when the run is over.
  expect((await client.settleUndo(run, skip, 'one-key')).settled).toEqual(first.settled)
  await expect(client.settleUndo(run, { action: 'retry' }, 'one-key')).rejects.toMatchObject({ code: 'conflict' })
})

test('a deployment that could not be taken back is taken back by a retry, and the run ends as its person had asked: cancelled', async () => {
  const { client, data, edge } = scenario.system
  const served = async () => (await fetch(`${edge}/version`)).text()
  const old = await scenario.run(deploying({ version: 'old' }))
  expect(old.status, old.reason).toBe('succeeded')
  const run = await scenario.start(deploying({ version: 'new', bake: '10m' }))
  await until('the new release answers', async () => (await served()) === 'new')

  // The way back needs the old image.
  const images = join(data, 'images/hello')
  renameSync(images, `${images}-away`)
  await client.cancelRun(run, { reason: 'not this one' })
  const stuck = await scenario.end(run.id)
  expect(stuck).toMatchObject({ status: 'rollback_blocked', reason: 'could not be taken back: ship' })
  expect(await served()).toBe('new')

  renameSync(`${images}-away`, images)
  const { code, out } = await belay('retry', String(run.number), '--step', 'ship')
  expect(code, out).toBe(0)
  expect(await ended(stuck)).toMatchObject({ status: 'cancelled', reason: 'not this one' })
  expect(await served()).toBe('old')
  const { history, current } = await client.getEnvironment('production')
  expect(history.map(({ status }) => status)).toEqual(['kept', 'undone'])
  expect(current?.release.runId).toBe(old.id)
  const { items } = await client.listDeployments('production')
  const ways = items.filter(({ runId }) => runId === run.id).map(({ kind, status }) => `${kind}: ${status}`)
  expect(ways).toEqual(['undo: deployed', 'undo: undo_failed', 'deploy: undo_failed'])
  expect(new Set(items.map(({ requestId }) => requestId)).size).toBe(items.length)
})
