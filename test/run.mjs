/**
 * `npm test`: installs what the tests need beside npm packages, runs vitest, prints what was skipped and why, and ends with
 * `N passed, N failed, N skipped`, which it also writes to the file BELAY_TEST_SUMMARY. usage: node test/run.mjs [--project NAME]...     (default: unit and scenarios)
 */
import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import { ensureRealParts } from './real-parts.mjs'

const top = fileURLToPath(new URL('..', import.meta.url))
const { values } = parseArgs({ options: { project: { type: 'string', multiple: true, default: ['unit', 'scenarios'] } } })
const problems = []

// From the beginning: whatever it is that we are stopped in, what was started for the tests is stopped too.
const cut = new AbortController()
for (const [signal, code] of [['SIGINT', 130], ['SIGTERM', 143]]) process.on(signal, () => cut.abort({ signal, code })) // prettier-ignore
const whenCut = new Promise((resolve) => cut.signal.addEventListener('abort', resolve))

const parts = await ensureRealParts({ signal: cut.signal })
try {
  if (!cut.signal.aborted) await Promise.race([ensureTemporal(), whenCut])
  if (!cut.signal.aborted) process.exitCode = report(await runVitest())
} finally {
  await parts.stop()
}
// At once: a download may be under way.
if (cut.signal.aborted) process.exit(cut.signal.reason.code)

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

async function runVitest() {
  const room = mkdtempSync(join(tmpdir(), 'belay-test-'))
  const tally = join(room, 'tally.json')
  const projects = values.project.flatMap((name) => ['--project', name])
  const vitest = join(top, 'node_modules/vitest/vitest.mjs')
  const child = spawn(process.execPath, [vitest, 'run', '--config', 'test/vitest.config.ts', ...projects], {
    cwd: top,
    env: { ...process.env, ...parts.env, BELAY_TALLY: tally },
    stdio: ['ignore', 'inherit', 'inherit'],
  })
  // We outlive it, to stop what was started for it.
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal))
  const ended = await new Promise((resolve) => child.once('close', (code, signal) => resolve(signal ?? code)))
  const counts = existsSync(tally) ? JSON.parse(readFileSync(tally, 'utf8')) : { passed: 0, failed: [], skipped: [] }
  rmSync(room, { recursive: true })
  // Whatever vitest ends badly over (a threshold, a crash) without naming a test is a failure all the same.
  if (ended !== 0 && counts.failed.length === 0) problems.push(`vitest ended with ${ended}`)
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
