import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { faultPoint } from './fault-point.ts'

const compiled = new URL('../../dist/src/process/fault-point.js', import.meta.url)
let directory: string

beforeEach(() => {
  if (!existsSync(compiled)) throw new Error('dist/src/process/fault-point.js is not there: npm run build')
  directory = mkdtempSync(join(tmpdir(), 'belay-points-'))
})

afterEach(() => {
  rmSync(directory, { recursive: true, force: true })
})

/** A process that passes `first` and `second`, and says so. */
function pass(env: Record<string, string>) {
  const program = `const { faultPoint } = await import(${JSON.stringify(compiled.href)})
for (const name of ['first', 'second']) {
  try { faultPoint(name); console.log(name) } catch (error) { console.log(name + ' threw ' + error.code + ' ' + String(error.retryable)) }
}`
  const options = { env, extendEnv: false, reject: false }
  return execa(process.execPath, ['--input-type=module', '-e', program], options)
}

const arm = (name: string, what: string) => writeFileSync(join(directory, name), what)

it('does nothing without its variable', async () => {
  arm('first', 'kill')
  const passed = await pass({})
  expect(passed.stdout).toBe('first\nsecond')
  expect(readdirSync(directory)).toEqual(['first'])
})

it('is inert in this process, which has no such variable', () => {
  expect(process.env['BELAY_FAULT_POINTS']).toBeUndefined()
  expect(() => faultPoint('first')).not.toThrow()
})

it('kills the process exactly at the armed point, and only once', async () => {
  const env = { BELAY_FAULT_POINTS: directory }
  arm('second', 'kill')
  const running = pass(env)
  const killed = await running
  expect(killed.signal).toBe('SIGKILL')
  expect(killed.stdout).toBe('first')
  expect(readdirSync(directory)).toEqual([`second.taken.${String(running.pid)}`])

  const next = await pass(env)
  expect(next.exitCode).toBe(0)
  expect(next.stdout).toBe('first\nsecond')
})

it('throws what may be tried again where the file says so', async () => {
  arm('first', 'throw\n')
  const passed = await pass({ BELAY_FAULT_POINTS: directory })
  expect(passed.stdout).toBe('first threw unavailable true\nsecond')
})

it('stops the process where the file says so, until it is let go on', async () => {
  arm('second', 'stop')
  const running = pass({ BELAY_FAULT_POINTS: directory })
  const { pid = 0 } = running
  const state = () => /^State:\s+(\S)/m.exec(readFileSync(`/proc/${String(pid)}/status`, 'utf8'))?.[1]
  await expect.poll(state, { timeout: 20_000 }).toBe('T')
  process.kill(pid, 'SIGCONT')
  const passed = await running
  expect(passed.stdout).toBe('first\nsecond')
})
