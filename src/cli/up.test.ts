/**
 * `belay up` as its user has it: the built program, a real Temporal, real kills. The tests go through one life of one data
 * directory, in order. Needs `npm run build`.
 */
import { readFile, mkdtemp, rm, stat, writeFile } from 'node:fs/promises'
import { existsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { skipUnless } from '../../test/helpers/skips.ts'
import { findFreePort } from '../process/free-port.ts'
import { findIdentity, isAlive, type ProcessIdentity } from '../process/identity.ts'
import { spawnProcess, stopGroup, type Spawned } from '../process/spawn.ts'
import { runProgram } from './program.ts'
import { testIo } from './test-io.ts'
import { findUpState, type UpState } from './up/up-file.ts'

const main = fileURLToPath(new URL('../../dist/src/cli/main.js', import.meta.url))
const within = { timeout: 40_000, interval: 50 }

let root: string
let data: string
const ups: { process: Spawned; output: () => string }[] = []
/** Everything that was ever seen running, so that nothing outlives a failed test. */
const seen: ProcessIdentity[] = []

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'belay-up-'))
  data = join(root, 'data')
  const [listen, edge] = [await findFreePort(), await findFreePort()]
  await writeFile(
    join(root, 'belay.config.yml'),
    `data: data
listen: 127.0.0.1:${String(listen)}
projects: { shop: { repository: "file:///nowhere", environments: [staging] } }
environments: { staging: { target: process, edge: { listen: "127.0.0.1:${String(edge)}" } } }
`,
  )
})

afterAll(async () => {
  await Promise.all(ups.map((started) => started.process.stop(0)))
  await Promise.all(seen.map((identity) => stopGroup(identity, 2000)))
  await rm(root, { recursive: true, force: true })
})

async function up(): Promise<{ process: Spawned; output: () => string }> {
  const chunks: Buffer[] = []
  const spawned = await spawnProcess({
    file: process.execPath,
    args: [main, 'up'],
    cwd: root,
    env: { PATH: process.env['PATH'] ?? '', HOME: process.env['HOME'] ?? root, BELAY_WORK_DIR: join(root, 'work') },
    output: (chunk) => void chunks.push(chunk),
  })
  const started = { process: spawned, output: () => Buffer.concat(chunks).toString('utf8') }
  ups.push(started)
  return started
}

async function upAndReady(): Promise<{ process: Spawned; output: () => string }> {
  const started = await up()
  const ended = started.process.done.then((exit) => {
    throw new Error(`up has ended (${JSON.stringify(exit)}):\n${started.output()}`)
  })
  await Promise.race([ended, vi.waitFor(() => expect(started.output()).toContain('Belay is up at'), within)])
  ended.catch(() => undefined)
  return started
}

function state(): UpState {
  const found = findUpState(data)
  if (found === undefined) throw new Error('no up.json')
  for (const pid of [found.pid, ...Object.values(found.parts)]) {
    const identity = findIdentity(pid)
    if (identity !== undefined && !seen.some((known) => known.pid === pid)) seen.push(identity)
  }
  return found
}

function identityOf(name: string): ProcessIdentity {
  const pid = state().parts[name]
  const identity = pid === undefined ? undefined : findIdentity(pid)
  if (identity === undefined) throw new Error(`${name} does not run`)
  return identity
}

async function isReady(): Promise<boolean> {
  return await fetch(`${state().url}/readyz`).then(
    (response) => response.ok,
    () => false,
  )
}

async function belay(...args: string[]) {
  const io = testIo({ cwd: root })
  await runProgram(args, io)
  return io.result
}

describe('one life of a data directory', () => {
  let token: string
  let keeper: ProcessIdentity
  let temporalAddress: string

  test('comes up: one line per part, the URL, the admin token once; the directory is ours alone', async () => {
    const { output } = await upAndReady()
    for (const part of ['temporal', 'keeper', 'main', 'runner'])
      expect(output()).toMatch(new RegExp(`^${part} +ready +.*\\(\\d+\\.\\d s\\)$`, 'm'))
    expect(output()).toContain('isolation: process')
    await vi.waitFor(() => expect(output()).toContain('admin token'), within)
    token = await readFile(join(data, 'admin-token'), 'utf8')
    expect(output()).toContain(token)
    expect((await stat(data)).mode & 0o777).toBe(0o700)
    expect(await readFile(join(data, '.gitignore'), 'utf8')).toBe('*\n!*.yml\n')
    expect((await stat(join(data, 'admin-token'))).mode & 0o777).toBe(0o600)
    expect((await stat(join(data, 'runner', 'token'))).mode & 0o777).toBe(0o600)
    await vi.waitFor(async () => expect(await isReady()).toBe(true), within)
    temporalAddress = state().temporal
  }, 90_000)

  test('the CLI beside it finds it, with its token', async () => {
    expect(await belay('runs')).toEqual({ out: 'no runs\n', err: '', code: 0 })
    expect((await belay('envs', '--json')).out).toContain('"staging"')
    expect(await belay('show', '1')).toMatchObject({ code: 2 })
  })

  test('a second one on the same directory says who holds it', async () => {
    const second = await up()
    expect(await second.process.done).toMatchObject({ exitCode: 2 })
    expect(second.output()).toContain(`is in use by process ${String(state().pid)}`)
  }, 30_000)

  test("the runner does not get the operator's environment", async () => {
    skipUnless(existsSync('/proc/self/environ'), 'reads /proc, which only Linux has')
    const environment = await readFile(`/proc/${String(state().parts['runner'])}/environ`, 'utf8')
    const names = environment.split('\0').flatMap((entry) => (entry === '' ? [] : [entry.split('=')[0]]))
    expect(names.filter((name) => name?.startsWith('BELAY'))).toEqual([])
  })

  test.each(['temporal', 'main', 'runner', 'keeper'])(
    '%s comes back after a SIGKILL, and the others stay',
    async (part) => {
      const before = state().parts
      const killed = identityOf(part)
      process.kill(killed.pid, 'SIGKILL')
      await vi.waitFor(() => expect(state().parts[part] ?? killed.pid).not.toBe(killed.pid), within)
      expect(state().parts).toEqual({ ...before, [part]: state().parts[part] })
      await vi.waitFor(async () => expect(await isReady()).toBe(true), within)
    },
    90_000,
  )

  test('after a SIGKILL of up itself nothing but the keeper goes on', async () => {
    keeper = identityOf('keeper')
    const others = ['temporal', 'main', 'runner'].map(identityOf)
    const running = ups[0]
    process.kill(state().pid, 'SIGKILL')
    await running?.process.done
    await vi.waitFor(() => expect(others.filter(isAlive)).toEqual([]), within)
    expect(isAlive(keeper)).toBe(true)
  }, 60_000)

  test('the next up simply continues: the same keeper, the same Temporal address, the same token, not shown again', async () => {
    const { output } = await upAndReady()
    expect(output()).toContain('adopted')
    expect(state().parts['keeper']).toBe(keeper.pid)
    expect(state().temporal).toBe(temporalAddress)
    expect(output()).not.toContain(token)
    expect(await belay('runs')).toMatchObject({ code: 0 })
  }, 90_000)

  test('SIGTERM stops everything in order, in under 15 s, and leaves nothing behind', async () => {
    const parts = ['temporal', 'keeper', 'main', 'runner'].map(identityOf)
    const running = ups.at(-1)
    if (running === undefined) throw new Error('nothing runs')
    const since = performance.now()
    process.kill(state().pid, 'SIGTERM')
    expect(await running.process.done).toMatchObject({ exitCode: 0 })
    expect(performance.now() - since).toBeLessThan(15_000)
    expect(parts.filter(isAlive)).toEqual([])
    expect(existsSync(join(data, 'up.json'))).toBe(false)
    expect([...running.output().matchAll(/^(\w+) +stopped/gm)].map(([, name]) => name)).toEqual([
      'runner',
      'main',
      'keeper',
      'temporal',
    ])
  }, 60_000)

  test('a stop that is asked for while it still starts is a good end', async () => {
    const started = await up()
    await vi.waitFor(() => expect(started.output()).toMatch(/^temporal +ready/m), within)
    process.kill(started.process.pid, 'SIGTERM')
    expect(await started.process.done).toMatchObject({ exitCode: 0 })
    expect(await belay('runs')).toMatchObject({ code: 5 })
  }, 60_000)
})
