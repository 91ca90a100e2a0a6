/** One life of `belay up` with a release under way: the command line beside it, polling, Ctrl-C, and what comes after a kill. */
import { readdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { execa } from 'execa'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { RunView } from '../../src/api/run-schemas.ts'
import { findIdentity, findTagged, isAlive } from '../../src/process/identity.ts'
import { deploying, startScenario, type Scenario } from '../helpers/scenario.ts'
import { partNames } from '../helpers/system.ts'
import { until } from '../helpers/until.ts'

const program = fileURLToPath(new URL('../../dist/src/cli/main.js', import.meta.url))

/** Polling takes it up, so nothing here ever posts a hook. */
const branch = 'main'
let scenario: Scenario

beforeAll(async () => {
  scenario = await startScenario({ poll: '1s' })
})

afterAll(() => scenario.stop())

interface Said {
  code: number | undefined
  out: string
  err: string
}

async function belay(...args: string[]): Promise<Said> {
  // The configuration names HOOK_SECRET, and another `up` reads that first.
  const env = { BELAY_DATA: scenario.system.data, BELAY_TOKEN: undefined, BELAY_URL: undefined, HOOK_SECRET: 'another one' }
  const { exitCode, stdout, stderr } = await execa(process.execPath, [program, ...args], { env, reject: false })
  return { code: exitCode, out: stdout, err: stderr }
}

/** The run that polling made of a commit. */
async function runOf(sha: string): Promise<RunView> {
  return until(
    'polling finds the commit',
    async () => (await scenario.system.client.listRuns({ limit: 200 })).items.find(({ trigger }) => trigger.sha === sha),
    30_000,
  )
}

async function served(): Promise<string> {
  return (await fetch(`${scenario.system.edge}/version`)).text()
}

/** Processes whose command line, directory or environment name the directory. */
function processesOf(directory: string): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && name !== String(process.pid))
    .filter(
      (pid) => ['cmdline', 'environ'].some((file) => readProc(pid, file).includes(directory)) || cwdOf(pid).startsWith(directory),
    )
    .map((pid) => `${pid} ${readProc(pid, 'cmdline').replaceAll('\0', ' ')}`)
}

function readProc(pid: string, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'latin1')
  } catch {
    return '' // It has ended meanwhile.
  }
}

function cwdOf(pid: string): string {
  try {
    return readlinkSync(`/proc/${pid}/cwd`)
  } catch {
    return '' // It has ended meanwhile.
  }
}

const hanging = (note: string) =>
  `steps: { hang: { commands: [echo begun >> NOTES/${note}, 'while [ ! -f NOTES/${note}-go ]; do sleep 0.1; done'] } }\n`

test('polling starts a run for a new commit, by itself and once', async () => {
  const first = await scenario.commit(deploying({ version: 'v1' }), { branch })
  const run = await runOf(first.sha)
  expect(run.trigger).toMatchObject({ source: 'poll', branch, ref: 'refs/heads/main' })
  expect((await scenario.end(run.id)).status).toBe('succeeded')
  expect(await served()).toBe('v1')

  const second = await scenario.commit(deploying({ version: 'v2' }), { branch })
  expect((await scenario.end((await runOf(second.sha)).id)).status).toBe('succeeded')
  expect(await served()).toBe('v2')
  const { items } = await scenario.system.client.listRuns({})
  expect(items.map(({ trigger }) => trigger.sha)).toEqual([second.sha, first.sha])
})

test('a second up on the same directory says who holds it, exits 2 and harms nothing', async () => {
  const { system } = scenario
  const { code, err } = await belay('up', '--config', system.config, '--data', system.data)
  expect(code).toBe(2)
  expect(err).toContain(String(system.pid('up')))
  expect(await system.client.ready()).toEqual({ status: 'ready' })
})

test('`runs`, `show`, `logs` and `envs` tell what happened, and exit 0', async () => {
  const { sha } = await scenario.commit(`steps: { hi: { commands: ['echo "hello from step $BELAY_STEP"'] } }\n`, { branch })
  const { id, number } = await runOf(sha)
  await scenario.end(id)
  const name = String(number)

  const runs = await belay('runs')
  expect(runs).toMatchObject({
    code: 0,
    out: expect.stringMatching(new RegExp(`^hello#${name} +succeeded +main +${sha.slice(0, 7)}`, 'm')),
  })
  expect(JSON.parse((await belay('runs', '--json', '--limit', '1')).out)).toMatchObject({ items: [{ id }] })
  expect(await belay('show', name)).toMatchObject({ code: 0, out: expect.stringMatching(/^hi +1 +succeeded/m) })
  expect(await belay('logs', name, 'hi')).toMatchObject({ code: 0, out: expect.stringContaining('\nhello from step hi') })
  expect(await belay('logs', '-f', name)).toMatchObject({ code: 0, out: expect.stringContaining('== hi') })
  expect(await belay('envs')).toMatchObject({ code: 0, out: expect.stringMatching(/^production +release 2 /m) })
  expect(await belay('envs', 'production')).toMatchObject({ code: 0, out: expect.stringContaining('deployed') })
})

test('what is not there is exit 2 with a hint or a name', async () => {
  expect(await belay('show', '999')).toMatchObject({ code: 2 })
  expect(await belay('envs', 'nowhere')).toMatchObject({ code: 2, err: expect.stringContaining('production') })
  expect(await belay('rollback', 'production', '--to', '999')).toMatchObject({ code: 2, err: expect.stringContaining('999') })
})

test('`rollback` waits until the older release serves, and exits 0', async () => {
  const dry = await belay('rollback', 'production', '--dry-run')
  expect(dry).toMatchObject({ code: 0, out: expect.stringContaining('release 1') })
  expect(await served()).toBe('v2')
  expect(await belay('rollback', 'production', '--to', '1')).toMatchObject({ code: 0, out: expect.stringContaining('deployed') })
  expect(await served()).toBe('v1')
})

test('`cancel --wait` ends the run; `run` waits for one and exits as it ended', async () => {
  const { sha } = await scenario.commit(hanging('cancelled'), { branch })
  const { id, number } = await runOf(sha)
  await scenario.noted('cancelled')
  const said = await belay('cancel', String(number), '--reason', 'by hand', '--wait')
  expect(said).toMatchObject({ code: 0, out: expect.stringContaining('cancelled') })
  expect(await scenario.system.client.getRun({ id })).toMatchObject({ status: 'cancelled', reason: 'by hand' })
  expect(findTagged('BELAY_RUN_ID', id)).toEqual([])

  const failing = await scenario.commit(`steps: { no: { commands: ['false'] } }\n`, { branch })
  await scenario.end((await runOf(failing.sha)).id)
  expect(await belay('run')).toMatchObject({ code: 1, out: expect.stringContaining('failed') })
})

test('after SIGKILL of up in mid-step the next up continues: the run ends, and the release goes on serving', async () => {
  const { system } = scenario
  const { sha } = await scenario.commit(hanging('killed'), { branch })
  const { id } = await runOf(sha)
  await scenario.noted('killed')
  system.kill('up')
  expect(await system.ended()).toBe('SIGKILL')
  expect(await served()).toBe('v1')
  await system.restart()
  expect(await served()).toBe('v1')
  writeFileSync(join(scenario.notes, 'killed-go'), '')
  expect((await scenario.end(id)).status).toBe('succeeded')
})

test('Ctrl-C in mid-step ends up and every process of it, and the next up continues', async () => {
  const { system } = scenario
  const { sha } = await scenario.commit(hanging('stopped'), { branch })
  const { id } = await runOf(sha)
  await scenario.noted('stopped')
  const parts = partNames.map((part) => findIdentity(system.pid(part)))
  expect(parts.every((part) => part !== undefined && isAlive(part))).toBe(true)
  expect(processesOf(system.directory).length).toBeGreaterThan(parts.length)

  system.signal('up', 'SIGINT')
  expect(await system.ended()).toBe(0)
  expect(processesOf(system.directory)).toEqual([])
  expect(parts.filter((part) => part !== undefined && isAlive(part))).toEqual([])
  await expect(fetch(system.edge)).rejects.toThrow('fetch failed')

  await system.restart()
  await until('the release serves again', async () => (await served()) === 'v1')
  writeFileSync(join(scenario.notes, 'stopped-go'), '')
  expect((await scenario.end(id)).status).toBe('succeeded')
  expect((await system.client.getEnvironment('production')).current?.release.number).toBe(1)
})
