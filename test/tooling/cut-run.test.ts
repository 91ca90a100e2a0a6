/** Runs that are cut, with scripts in the place of apt-get, docker and dockerd: nothing is installed or started. */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { skipUnless } from '../helpers/skips.ts'
import { until } from '../helpers/until.ts'

const top = join(import.meta.dirname, '../..')
let room: string
let policy: string
let children: ChildProcess[]

beforeEach(() => {
  const mayInstall = process.getuid?.() === 0 && existsSync('/etc/debian_version')
  skipUnless(mayInstall, 'packages and an engine are for root on Debian only')
  room = mkdtempSync(join(tmpdir(), 'belay-cut-'))
  policy = join(room, 'policy-rc.d')
  children = []
  for (const part of ['bin', 'test', 'tmp', 'dist/src/embedded/temporal']) mkdirSync(join(room, part), { recursive: true })
  for (const file of ['run.mjs', 'real-parts.mjs']) copyFileSync(join(top, 'test', file), join(room, 'test', file))
})
afterEach(() => {
  if (room === undefined) return
  for (const child of children) child.kill('SIGKILL')
  for (const name of ['apt', 'engine']) killWritten(name)
  const mounts = readFileSync('/proc/self/mounts', 'utf8').split('\n').map((line) => line.split(' ')[1] ?? '') // prettier-ignore
  for (const place of mounts.filter((at) => at.startsWith(room))) spawnSync('umount', [place])
  rmSync(room, { recursive: true, force: true })
})

const endless = 'while :; do /bin/sleep 0.1; done'
const signals = [
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const

it.each(signals)('%s while Temporal is fetched stops the engine that was started', async (signal, code) => {
  const run = startRun({ engineAnswers: true })
  await until('it fetches', () => existsSync(join(room, 'fetching')))
  run.kill(signal)
  expect(await end(run)).toBe(code)
  expect(isAlive('engine')).toBe(false)
  expect(readdirSync(join(room, 'tmp'))).toEqual([])
})

it.each(signals)('%s while the engine comes up stops it', async (signal, code) => {
  const run = startRun({ engineAnswers: false })
  await until('it comes up', () => isAlive('engine'))
  run.kill(signal)
  expect(await end(run)).toBe(code)
  expect(isAlive('engine')).toBe(false)
  expect(readdirSync(join(room, 'tmp'))).toEqual([])
})

it('what an engine that was killed has left mounted is not in the way', async () => {
  const mount = 'mkdir -p "$2" && mount --bind "$2" "$2"'
  const run = startRun({ engineAnswers: true, engine: `${mount} && ${mount} && : > '${room}/mounted'` })
  await until('it fetches', () => existsSync(join(room, 'fetching')))
  run.kill('SIGTERM')
  expect(await end(run)).toBe(143)
  skipUnless(existsSync(join(room, 'mounted')), 'this root may not mount')
  expect(readdirSync(join(room, 'tmp'))).toEqual([])
})

it('a signal to all of a run lets apt-get come to its own end, and services may start again', async () => {
  const noted = (signal: string) => `trap 'echo ${signal} > ${room}/noted; exit 1' ${signal}`
  const ensuring = startEnsuring(`${noted('INT')}\n${noted('TERM')}\n${writePid('apt')}\n${endless}`)
  await until('it installs', () => isAlive('apt'))
  expect(readFileSync(policy, 'utf8')).toMatch(/^exit 101$/m)
  process.kill(-(ensuring.pid ?? 0), 'SIGTERM')
  expect(await end(ensuring)).toBe(0)
  expect(readFileSync(join(room, 'noted'), 'utf8')).toBe('INT\n')
  expect(isAlive('apt')).toBe(false)
  expect(existsSync(policy)).toBe(false)
})

it('what a killed run has left for services is removed by the next run, and nothing of somebody else', async () => {
  const ensuring = startEnsuring(`${writePid('apt')}\n${endless}`)
  await until('it installs', () => isAlive('apt'))
  ensuring.kill('SIGKILL')
  await end(ensuring)
  killWritten('apt')
  expect(existsSync(policy)).toBe(true)
  expect(await end(startEnsuring('exit 0'))).toBe(0)
  expect(existsSync(policy)).toBe(false)
  writeFileSync(policy, '#!/bin/sh\nexit 101\n')
  expect(await end(startEnsuring('exit 0'))).toBe(0)
  expect(existsSync(policy)).toBe(true)
})

/** The real test/run.mjs with a Temporal that never comes. */
function startRun({ engineAnswers, engine = '' }: { engineAnswers: boolean; engine?: string }): ChildProcess {
  script('apt-get', 'exit 0')
  script('dockerd', `${engine}\n${writePid('engine')}\nexec /bin/sleep 600`)
  script('docker', engineAnswers ? `[ -e '${room}/engine' ] && echo 1` : 'exit 1')
  writeFileSync(join(room, 'package.json'), '{ "type": "module" }')
  const never = `writeFileSync('${room}/fetching', ''); return new Promise(() => setInterval(() => {}, 1000))`
  writeFileSync(
    join(room, 'dist/src/embedded/temporal/find-temporal.js'),
    `import { writeFileSync } from 'node:fs'\nexport function findTemporal() { ${never} }\n`,
  )
  return start(['test/run.mjs'], `${join(room, 'bin')}:${process.env['PATH'] ?? ''}`)
}

/** The real test/real-parts.mjs, stopped as test/run.mjs does it, on a machine that has nothing but this apt-get. */
function startEnsuring(aptGet: string): ChildProcess {
  script('apt-get', aptGet)
  const text = `import { ensureRealParts } from './test/real-parts.mjs'
    const cut = new AbortController()
    process.on('SIGTERM', () => cut.abort())
    await ensureRealParts({ signal: cut.signal, policy: '${policy}' })`
  writeFileSync(join(room, 'ensure.mjs'), text)
  return start(['ensure.mjs'], join(room, 'bin'))
}

function start(args: string[], path: string): ChildProcess {
  const env = { PATH: path, TMPDIR: join(room, 'tmp') }
  const child = spawn(process.execPath, args, { cwd: room, env, stdio: 'ignore', detached: true })
  children.push(child)
  return child
}

async function end(child: ChildProcess): Promise<number | null> {
  await until('it ends', () => child.exitCode !== null || child.signalCode !== null)
  return child.exitCode
}

function script(name: string, text: string): void {
  writeFileSync(join(room, 'bin', name), `#!/bin/sh\n${text}\n`, { mode: 0o755 })
}

function writePid(name: string): string {
  return `echo $$ > '${room}/${name}'`
}

function pidOf(name: string): number | undefined {
  const file = join(room, name)
  return existsSync(file) ? Number(readFileSync(file, 'utf8')) || undefined : undefined
}

function isAlive(name: string): boolean {
  return signalWritten(name, 0)
}

function killWritten(name: string): void {
  signalWritten(name, 'SIGKILL')
}

/** False: it has ended, or was never started. */
function signalWritten(name: string, signal: NodeJS.Signals | 0): boolean {
  const pid = pidOf(name)
  try {
    return pid !== undefined && process.kill(pid, signal)
  } catch {
    return false
  }
}
