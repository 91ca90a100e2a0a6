import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { findIdentity, isAlive } from '../../process/identity.ts'
import { childPart } from './child-part.ts'
import { keeperPart } from './keeper-part.ts'
import type { PartNews } from './part.ts'
import { partFiles, stopLeftovers } from './part-files.ts'
import { supervise, type Supervisor } from './supervise.ts'

let directory: string
let supervisor: Supervisor | undefined
let news: PartNews[]
const backoff = { firstMs: 20, lastMs: 80, resetMs: 30_000 }

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'belay-parts-'))
  news = []
})

afterEach(async () => {
  await supervisor?.stop()
  supervisor = undefined
  await rm(directory, { recursive: true, force: true })
})

/** A real process that says it is ready, notes its life in `story`, and ends on SIGTERM or when its parent has gone. */
const program = `
  const { appendFileSync, writeFileSync } = require('node:fs')
  const { NAME, READY, STORY } = process.env
  const tell = (what) => appendFileSync(STORY, NAME + ' ' + what + '\\n')
  process.on('SIGTERM', () => { tell('stopped'); process.exit(0) })
  process.on('disconnect', () => process.exit(0))
  setInterval(() => undefined, 1000)
  tell('started')
  writeFileSync(READY, JSON.stringify({ pid: process.pid, detail: 'here' }))
`

function part(name: string, script = program) {
  return childPart({
    name,
    file: process.execPath,
    args: ['-e', script],
    cwd: directory,
    env: { NAME: name, READY: partFiles(directory, name).ready, STORY: join(directory, 'story') },
    directory,
    readyTimeoutMs: 10_000,
    stopGraceMs: 2000,
  })
}

async function start(...parts: ReturnType<typeof part>[]): Promise<Supervisor> {
  supervisor = await supervise({ parts, tell: (item) => news.push(item), backoff })
  return supervisor
}

function story(): Promise<string[]> {
  return readFile(join(directory, 'story'), 'utf8').then((text) => text.trim().split('\n'))
}

function pidOf(name: string): number {
  const pid = supervisor?.pids()[name]
  if (pid === undefined) throw new Error(`${name} does not run`)
  return pid
}

test('starts in order, each after the one before is ready, and stops in the opposite order', async () => {
  const running = await start(part('one'), part('two'), part('three'))
  await running.stop()
  expect(await story()).toEqual(['one started', 'two started', 'three started', 'three stopped', 'two stopped', 'one stopped'])
  expect(running.pids()).toEqual({})
})

test('starts a part again that was killed by SIGKILL, and leaves the others alone', async () => {
  await start(part('one'), part('two'))
  const [one, two] = [pidOf('one'), pidOf('two')]
  process.kill(one, 'SIGKILL')
  await vi.waitFor(() => expect(pidOf('one')).not.toBe(one), { timeout: 10_000 })
  expect(pidOf('two')).toBe(two)
  expect(news).toContainEqual({ type: 'ended', part: 'one', how: 'SIGKILL', restartInMs: 20 })
})

test('waits longer each time for a part that keeps dying', async () => {
  await start(part('one'))
  for (let life = 0; life < 4; life++) {
    const pid = pidOf('one')
    process.kill(pid, 'SIGKILL')
    await vi.waitFor(() => expect(pidOf('one')).not.toBe(pid), { timeout: 10_000 })
  }
  expect(news.flatMap((item) => (item.type === 'ended' ? [item.restartInMs] : []))).toEqual([20, 40, 80, 80])
})

test('a part that does not come up the first time stops those before it and says what it printed', async () => {
  const broken = part('broken', "console.error('no port for me'); process.exit(3)")
  await expect(start(part('one'), broken)).rejects.toMatchObject({
    code: 'unavailable',
    message: 'broken did not come up (exit 3)',
    hint: expect.stringContaining('no port for me') as string,
  })
  expect(await story()).toEqual(['one started', 'one stopped'])
})

test('a start that is given up leaves nothing behind', async () => {
  const given = new AbortController()
  const silent = part(
    'silent',
    "require('node:fs').appendFileSync(process.env.STORY, 'silent is up'); setInterval(() => undefined, 1000)",
  )
  const starting = supervise({ parts: [part('one'), silent], tell: () => undefined, signal: given.signal })
  const failed = expect(starting).rejects.toMatchObject({ code: 'unavailable' })
  await vi.waitFor(async () => expect(await readFile(join(directory, 'story'), 'utf8')).toContain('silent is up'), {
    timeout: 10_000,
  })
  given.abort()
  await failed
  expect((await story()).at(-1)).toMatch(/one stopped$/)
  expect(partFiles(directory, 'silent').findRecorded()).toBeUndefined()
})

test('a part that ignores SIGTERM is killed after its grace', async () => {
  const stubborn = part('stubborn', `process.on('SIGTERM', () => undefined); ${program.replace(/process.on\('SIGTERM'.*\n/, '')}`)
  const running = await start(stubborn)
  const identity = findIdentity(pidOf('stubborn'))
  await running.stop()
  expect(identity !== undefined && isAlive(identity)).toBe(false)
})

test('what a killed supervisor left behind is stopped before anything starts anew', async () => {
  // No channel here, so nothing tells the child that its parent has gone.
  const { spawnProcess } = await import('../../process/spawn.ts')
  const files = partFiles(directory, 'main')
  const left = await spawnProcess({
    file: process.execPath,
    args: ['-e', program],
    cwd: directory,
    env: { NAME: 'main', READY: files.ready, STORY: join(directory, 'story') },
  })
  files.record(left.identity)
  await vi.waitFor(() => expect(files.findReady(left.pid)).toBeDefined(), { timeout: 10_000 })
  expect(await stopLeftovers(directory, { except: [], graceMs: 2000 })).toEqual(['main'])
  expect(isAlive(left.identity)).toBe(false)
  expect(await stopLeftovers(directory, { except: [], graceMs: 2000 })).toEqual([])
})

test('a record of a pid that was given to somebody else stops nobody', async () => {
  const identity = findIdentity(process.pid)
  if (identity === undefined) throw new Error('expected an identity')
  partFiles(directory, 'main').record({ ...identity, startTime: '1' })
  expect(await stopLeftovers(directory, { except: [], graceMs: 0 })).toEqual([])
})

const keeperProgram = `
  require('node:http').createServer((_, response) => response.end('ok')).listen(process.env.SOCKET)
  process.on('SIGTERM', () => process.exit(0))
`

function keeper() {
  const socket = join(directory, 'k.sock')
  return keeperPart({
    file: process.execPath,
    args: ['-e', keeperProgram],
    cwd: directory,
    env: { SOCKET: socket },
    socket,
    parts: directory,
    readyTimeoutMs: 10_000,
    stopGraceMs: 2000,
  })
}

test('a keeper that is there is adopted, and restarted when it dies', async () => {
  const nobodyStops = new AbortController().signal
  const first = await keeper().start(nobodyStops)
  await start(keeper())
  expect(pidOf('keeper')).toBe(first.pid)
  await rm(join(directory, 'k.sock'))
  process.kill(first.pid, 'SIGKILL')
  await vi.waitFor(() => expect(pidOf('keeper')).not.toBe(first.pid), { timeout: 10_000 })
})
