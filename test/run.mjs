/**
 * `npm test`: installs what the tests need beside npm packages, runs vitest, prints what was skipped and why, and ends with
 * `N passed, N failed, N skipped`, which it also writes to the file BELAY_TEST_SUMMARY. usage: node test/run.mjs [--project NAME]...     (default: unit and scenarios)
 */
import { spawnSync } from 'node:child_process'
import { accessSync, constants, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'

const top = fileURLToPath(new URL('..', import.meta.url))
const { values } = parseArgs({ options: { project: { type: 'string', multiple: true, default: ['unit', 'scenarios'] } } })
const problems = []

ensureSkopeo()
await ensureTemporal()
process.exitCode = report(runVitest())

/** Reads the images that Belay builds as other tools do. */
function ensureSkopeo() {
  if (isOnPath('skopeo')) return
  const debian = existsSync('/etc/debian_version') && isOnPath('apt-get')
  if (!debian || process.getuid?.() !== 0 || process.env.BELAY_TEST_INSTALL === '0') {
    console.log(
      `test: skopeo is missing. To have it: ${debian ? 'sudo apt-get install -y skopeo' : 'install the package skopeo'}`,
    )
    return
  }
  console.log('test: installing skopeo with apt-get (BELAY_TEST_INSTALL=0 leaves it out)')
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  const install = ['install', '--yes', '--quiet=2', '--no-install-recommends', 'skopeo']
  // Lists that are already there save the slow update; a fresh machine has none.
  if (apt(install, env) || (apt(['update', '--quiet=2'], env) && apt(install, env))) return
  console.log('test: apt-get could not install skopeo')
}

function apt(args, env) {
  const result = spawnSync('apt-get', args, { env, stdio: ['ignore', 'ignore', 'inherit'], timeout: 300_000 })
  return result.status === 0
}

/** Once, and before many tests would fetch it at the same time. */
async function ensureTemporal() {
  const { findTemporal } = await import(pathToFileURL(join(top, 'dist/src/embedded/temporal/find-temporal.js')).href)
  try {
    const found = await findTemporal({ env: process.env, say: (line) => console.log(`test: ${line}`) })
    console.log(`test: Temporal is ${found.kind === 'address' ? found.address : `${found.file} (${found.from})`}`)
  } catch (error) {
    console.log(`test: ${error.message}${error.hint ? `\n      ${error.hint}` : ''}`)
    problems.push('Temporal cannot be had, and most tests need it')
  }
}

function runVitest() {
  const room = mkdtempSync(join(tmpdir(), 'belay-test-'))
  const tally = join(room, 'tally.json')
  const projects = values.project.flatMap((name) => ['--project', name])
  const vitest = join(top, 'node_modules/vitest/vitest.mjs')
  const result = spawnSync(process.execPath, [vitest, 'run', '--config', 'test/vitest.config.ts', ...projects], {
    cwd: top,
    env: { ...process.env, BELAY_TALLY: tally },
    stdio: ['ignore', 'inherit', 'inherit'],
  })
  const counts = existsSync(tally) ? JSON.parse(readFileSync(tally, 'utf8')) : { passed: 0, failed: [], skipped: [] }
  rmSync(room, { recursive: true })
  // Whatever vitest ends badly over (a threshold, a crash) without naming a test is a failure all the same.
  if (result.status !== 0 && counts.failed.length === 0) problems.push(`vitest ended with ${result.signal ?? result.status}`)
  return counts
}

/** Prints the end of the story; returns the exit code. */
function report({ passed, failed, skipped }) {
  for (const { test, reason } of skipped) {
    console.log(`skipped: ${test}: ${reason ?? 'no reason given'}`)
    if (reason === undefined) problems.push(`skipped without a reason: ${test}`)
    else if (process.env.CI === 'true') problems.push(`skipped in CI: ${test}`)
  }
  const all = [...failed, ...problems]
  for (const line of all) console.log(`failed: ${line}`)
  const sum = `${passed} passed, ${all.length} failed, ${skipped.length} skipped`
  console.log(sum)
  if (process.env.BELAY_TEST_SUMMARY) writeFileSync(process.env.BELAY_TEST_SUMMARY, `${sum}\n`)
  return all.length === 0 && passed > 0 ? 0 : 1
}

function isOnPath(name) {
  return (process.env.PATH ?? '').split(delimiter).some((directory) => {
    try {
      accessSync(join(directory, name), constants.X_OK)
      return true
    } catch {
      // Not in this directory; the next one may have it.
      return false
    }
  })
}
