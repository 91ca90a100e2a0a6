import { spawnSync } from 'node:child_process'
import { chmodSync, copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, expect, it } from 'vitest'

const temporary: string[] = []

afterEach(() => {
  for (const directory of temporary.splice(0)) rmSync(directory, { recursive: true, force: true })
})

it('a fresh checkout gets its packages, then its build; the next call does nothing', () => {
  const checkout = makeCheckout()
  const first = checkout.setUp()
  expect(first.npm).toEqual(['ci --no-progress', 'run --silent build'])
  expect(first.lines).toEqual([expect.stringMatching(/packages: installed/), expect.stringMatching(/build: compiled/)])
  expect(checkout.setUp()).toEqual({
    code: 0,
    npm: [],
    lines: ['set-up: packages: nothing to do', 'set-up: build: nothing to do'],
  })
})

it('a changed source is built again, a changed lock file is installed again', () => {
  const checkout = makeCheckout()
  checkout.setUp()
  checkout.write('src/a.ts', 'export const a = 2\n')
  expect(checkout.setUp().npm).toEqual(['run --silent build'])
  checkout.write('package-lock.json', lockOf('2.0.0'))
  expect(checkout.setUp().npm).toEqual(['ci --no-progress', 'run --silent build'])
})

it("a developer's own install is left alone if it is what the lock file says, and replaced if not", () => {
  const checkout = makeCheckout()
  checkout.write('node_modules/.package-lock.json', lockOf('1.0.0'))
  expect(checkout.setUp().npm).toEqual(['run --silent build'])
  const other = makeCheckout()
  other.write('node_modules/.package-lock.json', lockOf('0.9.0'))
  expect(other.setUp().npm).toEqual(['ci --no-progress', 'run --silent build'])
})

it('an optional package of another platform need not be there', () => {
  const checkout = makeCheckout()
  const packages = { ...lockedPackages('1.0.0'), 'node_modules/only-mac': { version: '1.0.0', optional: true } }
  checkout.write('package-lock.json', JSON.stringify({ packages }))
  checkout.write('node_modules/.package-lock.json', lockOf('1.0.0'))
  expect(checkout.setUp().npm).toEqual(['run --silent build'])
})

it('what was built of a source that is gone is removed', () => {
  const checkout = makeCheckout()
  checkout.write('dist/src/gone.js', '')
  checkout.write('dist/src/a.js', '')
  checkout.setUp()
  expect(existsSync(join(checkout.top, 'dist/src/gone.js'))).toBe(false)
  expect(existsSync(join(checkout.top, 'dist/src/a.js'))).toBe(true)
})

it('a build that fails is said, ends with 1, and is tried again', () => {
  const checkout = makeCheckout()
  checkout.write('npm-fails', 'run')
  expect(checkout.setUp()).toMatchObject({ code: 1, npm: ['ci --no-progress', 'run --silent build'] })
  rmSync(join(checkout.top, 'npm-fails'))
  expect(checkout.setUp()).toMatchObject({ code: 0, npm: ['run --silent build'] })
})

it('quiet, it leaves stdout to the program that comes after it', () => {
  const checkout = makeCheckout()
  expect(checkout.setUp('--quiet')).toMatchObject({ code: 0, lines: [] })
})

/** A directory with the real script and an npm that writes down how it was called; `npm-fails` names what it refuses. */
function makeCheckout() {
  const top = mkdtempSync(join(tmpdir(), 'belay-set-up-'))
  temporary.push(top)
  const write = (file: string, text: string) => {
    mkdirSync(dirname(join(top, file)), { recursive: true })
    writeFileSync(join(top, file), text)
  }
  write('package.json', '{}')
  write('package-lock.json', lockOf('1.0.0'))
  write('tsconfig.json', '{}')
  write('src/a.ts', 'export const a = 1\n')
  write('test/.keep', '')
  write(
    'bin/npm',
    '#!/bin/sh\necho "$@" >> npm-calls\necho talk\n[ "$(cat npm-fails 2>/dev/null)" != "$1" ] || exit 3\nmkdir -p node_modules dist\n',
  )
  chmodSync(join(top, 'bin/npm'), 0o755)
  copyFileSync(join(import.meta.dirname, '../setup.mjs'), join(top, 'test/setup.mjs'))
  return { top, write, setUp: (...args: string[]) => setUp(top, args) }
}

function setUp(top: string, args: string[]) {
  const env = { PATH: `${join(top, 'bin')}:${process.env['PATH'] ?? ''}` }
  const { status, stdout } = spawnSync(process.execPath, ['test/setup.mjs', ...args], { cwd: top, env, encoding: 'utf8' })
  const calls = join(top, 'npm-calls')
  const npm = existsSync(calls) ? readFileSync(calls, 'utf8').trim().split('\n') : []
  rmSync(calls, { force: true })
  return { code: status, npm, lines: stdout.split('\n').filter((line) => line !== '' && line !== 'talk') }
}

function lockOf(version: string): string {
  return JSON.stringify({ packages: lockedPackages(version) })
}

function lockedPackages(version: string) {
  return { '': { name: 'x' }, 'node_modules/a': { version } }
}
