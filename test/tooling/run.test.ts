import { spawnSync } from 'node:child_process'
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, expect, it } from 'vitest'

const top = join(import.meta.dirname, '../..')
const temporary: string[] = []

afterEach(() => {
  for (const directory of temporary.splice(0)) rmSync(directory, { recursive: true, force: true })
})

const passing = `it('holds', () => { expect(1).toBe(1) })`
const failing = `it('does not hold', () => { expect(1).toBe(2) })`
const skipping = `it('wants a program', () => { skipUnless(false, 'the program is missing') })`
const silent = `it.skip('is left out', () => {})`

it('counts what passed, failed and was skipped, prints each reason, and ends with the sum', () => {
  const { lines, code } = runTests([passing, failing, skipping])
  expect(lines).toContain('skipped: src/a.test.ts > wants a program: the program is missing')
  expect(lines).toContain('failed: src/a.test.ts > does not hold')
  expect(lines.at(-1)).toBe('1 passed, 1 failed, 1 skipped')
  expect(code).toBe(1)
})

it('ends well when nothing failed, even if something was skipped with a reason', () => {
  const { lines, code } = runTests([passing, skipping])
  expect([lines.at(-1), code]).toEqual(['1 passed, 0 failed, 1 skipped', 0])
})

it('a test that is skipped without a reason is a failure', () => {
  const { lines, code } = runTests([passing, silent])
  expect(lines).toContain('failed: skipped without a reason: src/a.test.ts > is left out')
  expect([lines.at(-1), code]).toEqual(['1 passed, 1 failed, 1 skipped', 1])
})

it('nothing is skipped in CI', () => {
  const { lines, code } = runTests([passing, skipping], { CI: 'true' })
  expect([lines.at(-1), code]).toEqual(['1 passed, 1 failed, 0 skipped', 1])
})

it.each([
  ['a file that cannot be loaded', `throw new Error('broken')`],
  ['a hook that throws', `describe('d', () => { beforeAll(() => { throw new Error('broken') }); ${passing} })`],
  [
    'a promise that nobody caught',
    `it('leaks', async () => { void Promise.reject(new Error('lost')); await new Promise((r) => setTimeout(r, 50)) })`,
  ],
  ['no test at all', ''],
])('%s is a failure', (_, text) => {
  const { lines, code } = runTests([text])
  expect(lines.at(-1)).toMatch(/^[01] passed, [1-9] failed, [01] skipped$/)
  expect(code).toBe(1)
})

it('no Temporal is a failure of the run, said with the remedy', () => {
  const { lines, code } = runTests([passing], {}, `throw Object.assign(new Error('no Temporal'), { hint: 'get it there' })`)
  expect(lines.map((line) => line.trim())).toEqual(expect.arrayContaining(['test: no Temporal', 'get it there']))
  expect([lines.at(-1), code]).toEqual(['1 passed, 1 failed, 0 skipped', 1])
})

it('what is missing is said in one line that has all of it, and nothing is installed when that is not wanted', () => {
  const bin = mkdtempSync(join(tmpdir(), 'belay-bin-'))
  temporary.push(bin)
  const { lines } = runTests([passing], { PATH: bin })
  const line = lines.find((candidate) => candidate.startsWith('test: missing'))
  expect(line).toMatch(
    /sudo apt-get install -y apache2-utils buildah .*docker-compose docker-registry docker\.io git .*iptables .*skopeo/,
  )
  expect(lines).toContain('test: no container engine answers; start one, or run as root on Debian')
})

/** The real test/run.mjs, reporter and skips over one made-up test file. */
function runTests(tests: string[], env: Record<string, string> = {}, find = `return { kind: 'address', address: 'there' }`) {
  const directory = mkdtempSync(join(tmpdir(), 'belay-run-'))
  temporary.push(directory)
  const write = (file: string, text: string) => {
    mkdirSync(dirname(join(directory, file)), { recursive: true })
    writeFileSync(join(directory, file), text)
  }
  const imports = `import { beforeAll, describe, expect, it } from 'vitest'\nimport { skipUnless } from '${join(top, 'test/helpers/skips.ts')}'\n`
  write('src/a.test.ts', `${imports}void [beforeAll, describe, skipUnless]\n${tests.join('\n')}\n`)
  write('dist/src/embedded/temporal/find-temporal.js', `export async function findTemporal() { ${find} }\n`)
  write('package.json', '{ "type": "module" }')
  write(
    'test/vitest.config.ts',
    `import { tallyReporter } from '${join(top, 'test/helpers/tally-reporter.ts')}'
    export default { test: { root: '${directory}', reporters: [tallyReporter(process.env.BELAY_TALLY)],
      projects: [{ extends: true, test: { name: 'unit', include: ['src/*.test.ts'] } }] } }\n`,
  )
  symlinkSync(join(top, 'node_modules'), join(directory, 'node_modules'))
  for (const file of ['run.mjs', 'real-parts.mjs']) copyFileSync(join(top, 'test', file), join(directory, 'test', file))
  const { stdout, status } = spawnSync(process.execPath, ['test/run.mjs', '--project', 'unit'], {
    cwd: directory,
    env: { PATH: process.env['PATH'], BELAY_TEST_INSTALL: '0', ...env },
    encoding: 'utf8',
  })
  return { lines: stdout.trim().split('\n'), code: status }
}
