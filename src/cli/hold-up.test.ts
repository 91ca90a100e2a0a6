/** The commands that hold releases up, and what shows it, against a real front door; what an environment answers is said by the test. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { openFrontDoor, startPlannedRun, type FrontDoor } from '../../test/helpers/front-door.ts'
import type { BlockChange, BlockChanged, FreezeChange } from '../contract/environment-workflow.ts'
import { emptyEnvironment } from '../domain/environment-rules.ts'
import type { EnvironmentState } from '../domain/environment.ts'
import type { Freeze } from '../domain/freeze.ts'
import { ReleaseRef } from '../domain/release.ts'
import { runProgram } from './program.ts'
import { testIo } from './test-io.ts'

let door: FrontDoor
let freezes: FreezeChange[]
let blocks: BlockChange[]
let answer: Partial<BlockChanged>
let revision = 0

beforeEach(async () => {
  door = await openFrontDoor()
  await door.token('operator')
  freezes = []
  blocks = []
  answer = {}
  door.orchestrator.freeze = async (change) => {
    freezes.push(change)
    if (change.type === 'unfreeze') return { freeze: window(change.freezeId ?? 'f-1') }
    await record({ freezes: [change.freeze] })
    return { freeze: change.freeze }
  }
  door.orchestrator.block = (change) => {
    blocks.push(change)
    return Promise.resolve({ serves: false, deploys: false, refused: [], ...answer })
  }
})

afterEach(() => door.close())

async function belay(...args: string[]) {
  const env = { BELAY_URL: await door.listen(), BELAY_TOKEN: await door.token('operator') }
  const io = testIo({ cwd: door.directory, env })
  await runProgram(args, io)
  return io.result
}

async function record(changes: Partial<EnvironmentState>): Promise<void> {
  revision += 1
  await door.store.environments.record({ ...emptyEnvironment('staging', 1), revision, ...changes })
}

async function release(letter: string): Promise<ReleaseRef> {
  const run = await startPlannedRun(door.store)
  const image = { repository: 'shop/app', digest: `sha256:${letter.repeat(64)}` }
  const made = { project: 'shop', sha: letter.repeat(40), image, runId: run.id, artifacts: [], step: 'release' }
  return ReleaseRef.parse(await door.store.releases.create(made))
}

const ana = { id: 'token:ana', name: 'ana' }
const far = Date.parse('2099-01-01T00:00Z')

function window(id: string, times: Partial<Freeze['times']> = {}): Freeze {
  const all = { type: 'once', from: 0, until: far, timeZone: 'UTC', ...times } as Freeze['times']
  return { id, times: all, actor: ana, reason: 'the party', at: 0 }
}

describe('freeze', () => {
  test('asks for the window, and says its id and how the environment stands', async () => {
    const { code, out } = await belay('freeze', 'staging', '--until', '2099-01-01T00:00', '--time-zone', 'UTC', '-r', 'the party')
    expect(code).toBe(0)
    expect(freezes).toMatchObject([
      { type: 'freeze', freeze: { times: { type: 'once', until: far }, reason: 'the party', actor: { name: 'operator' } } },
    ])
    expect(out).toMatch(/^staging: freeze f-[0-9a-f]{8}, from .* until 2099-01-01 .*\n/)
    expect(out).toMatch(/\nstaging is frozen until 2099-01-01 00:00 UTC [(]f-[0-9a-f]{8} by operator: the party[)]\n$/)
  })

  test('again and again is by cron, on a clock', async () => {
    const { code, out } = await belay('freeze', 'staging', '--cron', '0 18 * * 5', '--for', '62h', '--time-zone', 'Europe/Berlin')
    expect({ code, out }).toEqual({
      code: 0,
      out: expect.stringContaining('at "0 18 * * 5" for 62 h 00 min, by the clock of Europe/Berlin') as string,
    })
    const times = { type: 'recurring', cron: '0 18 * * 5', forMs: 62 * 3_600_000, timeZone: 'Europe/Berlin' }
    expect(freezes).toMatchObject([{ freeze: { times } }])
  })

  test('--json has the window', async () => {
    const { out } = await belay('freeze', 'staging', '--for', '8h', '--json')
    expect(JSON.parse(out)).toMatchObject({ freeze: { id: expect.stringMatching(/^f-/) as string }, frozen: {} })
  })

  test('without an end is exit 2 and says what to say; nobody is asked', async () => {
    const { code, err } = await belay('freeze', 'staging')
    expect({ code, err }).toEqual({ code: 2, err: expect.stringContaining('either `until` when or `for` how long') as string })
    expect(freezes).toEqual([])
  })
})

describe('unfreeze', () => {
  test.each([
    [['staging'], undefined],
    [['staging', 'f-2'], 'f-2'],
  ])('%j lifts that window', async (args, id) => {
    const { code, out } = await belay('unfreeze', ...args)
    expect({ code, out }).toEqual({ code: 0, out: `staging: freeze ${id ?? 'f-1'} is lifted\nstaging is not frozen now\n` })
    expect(freezes).toMatchObject([{ type: 'unfreeze', ...(id === undefined ? {} : { freezeId: id }) }])
  })
})

describe('block', () => {
  test('names the release, with the reason', async () => {
    const one = await release('a')
    const { code, out } = await belay('block', 'staging', '1', '--reason', 'leaks')
    expect({ code, out }).toEqual({ code: 0, out: 'release 1 is blocked in staging\n' })
    expect(blocks).toMatchObject([{ type: 'block', block: { release: one, reason: 'leaks' }, rollback: false }])
    expect(await door.audited()).toMatchObject([
      { action: 'environment.block', subject: 'staging', data: { release: 1, reason: 'leaks' } },
    ])
  })

  test.each([
    ['one that serves', { serves: true }, [], 'it serves there now, and goes on: `belay rollback staging`'],
    ['one that is being deployed', { deploys: true }, [], 'it is being deployed there now, and goes on'],
    [
      'one that is being deployed and is to go',
      { deploys: true },
      ['--rollback'],
      'it is being deployed there now, and is taken back',
    ],
    ['one that is queued', { refused: ['a', 'b'] }, [], '2 queued deployments of it are refused'],
  ])('says of %s what becomes of it', async (_, answered, flags, expected) => {
    await release('a')
    answer = answered
    const { code, out } = await belay('block', 'staging', 'shop#1', ...flags)
    expect({ code, out }).toEqual({ code: 0, out: expect.stringContaining(expected) as string })
  })

  test('with --rollback waits for that, and is exit 4 if it fails', async () => {
    const one = await release('a')
    answer = { serves: true, rollback: { requestId: 'block/rollback', release: 1, digest: one.image.digest } }
    const base = { id: 'd1', environment: 'staging', kind: 'rollback', release: one, requestId: 'block/rollback' } as const
    await door.store.environments.record(
      { ...emptyEnvironment('staging', 1), revision: 99 },
      { ...base, status: 'failed', reason: 'unhealthy', startedAt: 1, endedAt: 2 },
    )
    const { code, out } = await belay('block', 'staging', '1', '--rollback')
    expect({ code, out }).toEqual({
      code: 4,
      out: 'release 1 is blocked in staging\nstaging goes to release 1\nstaging: failed: unhealthy\n',
    })
    expect(blocks).toMatchObject([{ rollback: true }])
  })

  test('is undone by unblock, which says what still hinders it', async () => {
    await release('a')
    expect((await belay('unblock', 'staging', '1')).out).toBe('staging: release 1 may come again\n')
    answer = { still: 'release 1 is blocked in staging: it is the image of release 2' }
    expect((await belay('unblock', 'staging', '1')).out).toContain('may not come all the same: release 1 is blocked')
    expect(blocks.map(({ type }) => type)).toEqual(['unblock', 'unblock'])
  })
})

describe('what is held up is shown', () => {
  test('by envs: what serves, the queue with its reason, windows and blocked releases, nothing of it to the terminal as it came', async () => {
    const [one, two, three] = [await release('a'), await release('b'), await release('c')]
    const deploy = { environment: 'staging', strategy: 'blue_green' as const, health: {}, bakeMs: 0 }
    const run = crypto.randomUUID()
    const rude = '\u001b[31mred'
    await record({
      history: [{ release: two, deploymentId: 'd2', requestId: 'q2', status: 'provisional', at: 1 }],
      current: { release: two, deploymentId: 'd2' },
      queue: [
        { ...{ id: 'q3', runId: run, step: 'ship', release: three, deploy }, ...{ ref: 'main', sequence: 3, forced: false } },
      ],
      rollbacks: [
        { id: 'p1', environment: 'staging', actor: ana, release: one, to: one.image.digest, force: true, reason: rude },
      ],
      freezes: [window('f-1'), window('f-2', { until: 1 })],
      blocked: [{ release: one, actor: ana, reason: rude, at: 1 }],
    })
    const { out } = await belay('envs', 'staging')
    const lines = out.split('\n')
    expect(lines).toContain(`  serves release 2 ${two.image.digest}, provisional: its run has not settled`)
    expect(lines).toContain('  now: frozen until 2099-01-01 00:00 UTC (f-1 by ana: the party)')
    expect(out).toMatch(/queue:\n {2}release 1 +by ana +forced; \S*red\n {2}release 3 +run \S+ +waits: frozen until 2099/)
    expect(out).toMatch(/freeze windows:\n {2}f-1 .*; next .*; by ana: the party\n {2}f-2 .*; over; by ana: the party\n/)
    expect(out).toMatch(/blocked:\n {2}release 1 {2}sha256:a{12} {2}by ana: \S*red\n/)
    expect(out).not.toContain('\u001b')
    const [, row] = (await belay('envs')).out.split('\n')
    expect(row).toMatch(/^staging +release 2 .* frozen until 2099-01-01 00:00 UTC .* 2 waiting /)
  })

  test('by show: what a run waits for, and its undo stack in all its states', async () => {
    const { id } = await startPlannedRun(door.store)
    const statuses = ['owed', 'running', 'done', 'failed', 'skipped', 'discharged'] as const
    const items = statuses.map((status) => ({ step: `s-${status}`, does: `takes ${status} back`, status }))
    await door.store.runs.record(
      id,
      items.map((item, n) => ({ source: 'run', epoch: 0, n, at: n, body: { type: 'undo' as const, item } })),
    )
    const deploy = { environment: 'staging', strategy: 'blue_green' as const, health: {}, bakeMs: 0 }
    const request = { id: 'q1', runId: id, step: 'ship', release: await release('a'), deploy }
    const held = { until: far, reason: 'frozen until then' }
    await record({ queue: [{ ...request, ref: 'main', sequence: 1, forced: false }], held })
    const { out } = await belay('show', id)
    expect(out).toContain('ship waits for staging (frozen until then)\n')
    const stack = out.slice(out.indexOf('undo stack'))
    expect(stack.match(/^ {2}s-(\w+) +\1 +takes \1 back$/gm)).toHaveLength(statuses.length)
    const shown = JSON.parse((await belay('show', id, '--json')).out) as object
    expect(shown).toMatchObject({ undo: items, waits: [{ step: 'ship', environment: 'staging', for: 'frozen until then' }] })
  })
})

describe('rollback --dry-run', () => {
  test('says what would come and what would be passed over, and nobody is asked', async () => {
    const [one, two] = [await release('a'), await release('b')]
    const served = (of: ReleaseRef, status: 'kept' | 'provisional') => ({
      ...{ release: of, deploymentId: of.id, requestId: of.id, status, at: of.number },
    })
    const down = ['migrate', 'down', '\u001b[31m']
    await record({
      history: [served(one, 'kept'), { ...served(two, 'provisional'), level: 'm2' }],
      current: { release: two, deploymentId: two.id },
      migrations: [{ id: 'm2', release: two, requestId: two.id, up: ['migrate', 'up'], down, timeoutMs: 1 }],
      level: 'm2',
      given: { [two.image.digest]: { LEVEL: { value: 'debug' }, KEY: { secret: 'key' } } },
      freezes: [window('f-1')],
    })
    const { code, out } = await belay('rollback', 'staging', '--dry-run')
    expect(code).toBe(0)
    const [serves, goes, ...rest] = out.split('\n')
    expect(serves).toBe(`staging serves release 2 ${two.image.digest} (2, commit bbbbbbb)`)
    expect(goes).toBe(`would go to release 1 ${one.image.digest} (1, commit aaaaaaa)`)
    expect(rest.map((line) => line.trim())).toEqual([
      expect.stringMatching(/^served +last from 1970-01-01 /),
      expect.stringMatching(/^start +cold: /),
      'variable    KEY: the secret key → gone',
      'variable    LEVEL: "debug" → gone',
      'migration   down of release 2: migrate down "\\u001b[31m"',
      'provisional release 2: its run has not settled',
      expect.stringMatching(/^frozen +frozen until 2099.*: a rollback goes all the same$/),
      '',
    ])
    const json: unknown = JSON.parse((await belay('rollback', 'staging', '--dry-run', '--json')).out)
    expect(json).toMatchObject({ from: { number: 2 }, to: { number: 1 }, start: 'cold' })
    expect((await belay('rollback', 'staging', '--dry-run', '--to', '2')).out).toMatch(/^ {2}migrations +none$/m)
    expect(await door.audited()).toEqual([])
  })

  test('of what cannot be is refused as the rollback would be', async () => {
    const { code, err } = await belay('rollback', 'staging', '--dry-run')
    expect({ code, err }).toEqual({
      code: 2,
      err: expect.stringContaining('staging has no earlier release to go back to') as string,
    })
  })
})
