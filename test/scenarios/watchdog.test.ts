/** A runner that is stopped, or that does not reach Temporal: its steps end before anybody else may begin them, and run again. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { findUpState } from '../../src/cli/up/up-file.ts'
import { findIdentity, findTagged } from '../../src/process/identity.ts'
import { outline, startScenario, type Scenario } from '../helpers/scenario.ts'
import { skipUnless } from '../helpers/skips.ts'
import { until } from '../helpers/until.ts'

let scenario: Scenario
beforeAll(async () => {
  scenario = await startScenario()
})
afterAll(() => scenario.stop())

/** The first time it hangs, with a daemon; the second time it ends. */
const hangsOnce = (note: string) => `steps:
  hang:
    commands:
      - echo $$ >> NOTES/${note}
      - test "$(wc -l < NOTES/${note})" -ge 2 || { (setsid sh -c 'trap "" TERM; sleep 600' >/dev/null 2>&1 &); sleep 600; }
`

const processesOf = (runId: string) => findTagged('BELAY_RUN_ID', runId)

/** As the kernel has it: `T` is stopped. */
function stateOf(pid: number): string | undefined {
  return /^State:\s+(\w)/m.exec(readFileSync(`/proc/${String(pid)}/status`, 'utf8'))?.[1]
}

test('a runner that is stopped in mid-step: its processes are gone before it goes on, and the step runs again, not failed', async () => {
  skipUnless(process.platform === 'linux', 'finds processes through /proc, which only Linux has')
  const { id } = await scenario.start(hangsOnce('stopped'))
  await scenario.noted('stopped')
  await until('it hangs', () => processesOf(id).length >= 3)
  const pid = scenario.system.signal('runner', 'SIGSTOP')
  try {
    await until('all processes of the step are gone', () => processesOf(id).length === 0)
    expect(stateOf(pid)).toBe('T')
  } finally {
    process.kill(pid, 'SIGCONT')
  }
  const run = await scenario.end(id)
  expect(outline(run)).toEqual(['hang: succeeded'])
  expect(scenario.readNote('stopped')).toHaveLength(2)
  // The same process: it was not started again.
  expect(scenario.system.pid('runner')).toBe(pid)
  const log = await until('the log says why', async () => {
    const text = await scenario.system.readLog(id, 'hang')
    return text.includes('[belay] cut off') ? text : undefined
  })
  expect(log).toContain('the watchdog ended it')
})

test('one that Temporal does not answer: its steps end, and run again once it does', async () => {
  skipUnless(process.platform === 'linux', 'finds processes through /proc, which only Linux has')
  const { id } = await scenario.start(hangsOnce('silent'))
  await scenario.noted('silent')
  await until('it hangs', () => processesOf(id).length >= 3)
  const temporal = scenario.system.signal('temporal', 'SIGSTOP')
  try {
    await until('all processes of the step are gone', () => processesOf(id).length === 0)
  } finally {
    process.kill(temporal, 'SIGCONT')
  }
  expect(outline(await scenario.end(id))).toEqual(['hang: succeeded'])
  expect(scenario.readNote('silent')).toHaveLength(2)
})

test('a restart of Temporal ends no step', async () => {
  const { id } = await scenario.start(`steps:
  wait:
    commands:
      - echo $$ >> NOTES/restart
      - until [ -e NOTES/go ]; do sleep 0.1; done
`)
  const [step = ''] = await scenario.noted('restart')
  const before = scenario.system.kill('temporal')
  // It is written down once it answers.
  await until('another Temporal is there', () => {
    const now = findUpState(scenario.system.data)?.parts['temporal']
    return now !== undefined && now !== before
  })
  expect(findIdentity(Number(step))).toBeDefined()
  writeFileSync(join(scenario.notes, 'go'), '')
  expect(outline(await scenario.end(id))).toEqual(['wait: succeeded'])
  expect(scenario.readNote('restart')).toEqual([step])
})
