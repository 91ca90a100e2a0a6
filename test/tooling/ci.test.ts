import { spawnSync } from 'node:child_process'
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, it } from 'vitest'

const temporary: string[] = []

afterEach(() => {
  for (const directory of temporary.splice(0)) rmSync(directory, { recursive: true, force: true })
})

const counts = (line: string) => `[ -z "$BELAY_TEST_SUMMARY" ] || echo "${line}" > "$BELAY_TEST_SUMMARY"`
const npm = counts('7 passed, 0 failed, 0 skipped')
const node = counts('2 passed, 0 failed, 0 skipped')

it('adds the tests of both phases to its checks', () => {
  expect(runCi({ npm, node })).toEqual({ last: '16 passed, 0 failed, 0 skipped', code: 0 })
})

it('a check that fails is counted, and the other phases run all the same', () => {
  const noLint = `case "$*" in *lint*) exit 1 ;; esac\n${npm}`
  expect(runCi({ npm: noLint, node })).toEqual({ last: '15 passed, 1 failed, 0 skipped', code: 1 })
})

it('failed and skipped tests are counted as they are', () => {
  const bad = `${counts('7 passed, 3 failed, 1 skipped')}\n[ "$2" != test ]`
  expect(runCi({ npm: bad, node })).toEqual({ last: '16 passed, 3 failed, 1 skipped', code: 1 })
})

it.each(['exit 137', 'exit 0'])('tests that end with "%s" and no count are one failure', (end) => {
  const silent = `[ "$1" = test/setup.mjs ] || ${end}`
  expect(runCi({ npm, node: silent })).toEqual({ last: '14 passed, 1 failed, 0 skipped', code: 1 })
})

it('counts of all good with a bad exit code are a failure', () => {
  expect(runCi({ npm, node: `${node}\n[ "$1" = test/setup.mjs ]` })).toEqual({ last: '16 passed, 1 failed, 0 skipped', code: 1 })
})

it('what cannot be set up at all ends there', () => {
  expect(runCi({ npm, node: 'exit 1' })).toEqual({ last: '0 passed, 1 failed, 0 skipped', code: 1 })
})

it('what is out of time has a minute to stop what it started', () => {
  const timeout = `[ "$1" = --kill-after=60s ] || exit 1\nshift 2\nexec "$@"`
  expect(runCi({ npm, node, timeout })).toEqual({ last: '16 passed, 0 failed, 0 skipped', code: 0 })
})

/** The real .ci/run with an npm and a node that are given here as shell. */
function runCi(programs: { npm: string; node: string; timeout?: string }) {
  const directory = mkdtempSync(join(tmpdir(), 'belay-ci-'))
  temporary.push(directory)
  for (const part of ['.ci', 'bin']) mkdirSync(join(directory, part))
  for (const [name, text] of Object.entries(programs)) {
    writeFileSync(join(directory, 'bin', name), `#!/bin/sh\n${text}\n`)
    chmodSync(join(directory, 'bin', name), 0o755)
  }
  copyFileSync(join(import.meta.dirname, '../../.ci/run'), join(directory, '.ci/run'))
  const env = { PATH: `${join(directory, 'bin')}:${process.env['PATH'] ?? ''}` }
  const { stdout, status } = spawnSync('bash', ['.ci/run'], { cwd: directory, env, encoding: 'utf8' })
  return { last: stdout.trim().split('\n').at(-1), code: status }
}
