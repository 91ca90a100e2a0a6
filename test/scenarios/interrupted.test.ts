/** Steps that were under way when their runner died or fell silent, and is there again: what may have happened is undone first. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { findUpState } from '../../src/cli/up/up-file.ts'
import { isEndedRun } from '../../src/domain/run.ts'
import { loadStepRow, outline, startScenario, type Scenario } from '../helpers/scenario.ts'
import { until } from '../helpers/until.ts'

let scenario: Scenario
beforeAll(async () => {
  scenario = await startScenario()
})
afterAll(() => scenario.stop())

/** What a failed test leaves going would keep the slot from the next one. */
let begun: string | undefined
afterEach(async () => {
  const id = begun
  if (id === undefined || isEndedRun((await scenario.system.client.getRun({ id })).status)) return
  await scenario.system.client.cancelRun({ id }, {})
  await scenario.end(id)
})

async function start(pipeline: string): Promise<string> {
  begun = (await scenario.start(pipeline)).id
  return begun
}

/** Goes on once there is a file of that name with `-on` behind it. */
const waiting = (note: string, more = '') => `steps:
  once:
    commands: [echo begun >> NOTES/${note}, "until [ -e NOTES/${note}-on ]; do sleep 0.1; done", echo ended >> NOTES/${note}]
    undo: { commands: [echo undone >> NOTES/${note}] }
${more}`
const retrying = '    retry: { max: 1, on: [errored] }\n'

function goOn(note: string): void {
  writeFileSync(join(scenario.notes, `${note}-on`), '')
}

async function whenNoted(note: string, lines: number): Promise<void> {
  await until(`the note ${note} has ${String(lines)} lines`, () => scenario.readNote(note).length >= lines, 60_000)
}

/** It takes up work before it is written down as running. */
async function untilKnown(before?: number): Promise<void> {
  await until('the runner is written down', () => {
    const pid = findUpState(scenario.system.data)?.parts['runner']
    return pid !== undefined && pid !== before
  })
}

async function killOnceKnown(): Promise<void> {
  await untilKnown()
  await untilKnown(scenario.system.kill('runner'))
}

/** Kills the runner and keeps whoever would start it again from it until the run says that it waits. */
async function fallSilent(runId: string): Promise<void> {
  const up = scenario.system.signal('up', 'SIGSTOP')
  try {
    scenario.system.kill('runner')
    await until(
      'the run waits for its runner',
      async () => (await scenario.events(runId)).some(({ body }) => body.type === 'waiting'),
      60_000,
    )
  } finally {
    process.kill(up, 'SIGCONT')
  }
}

describe('a step with an undo whose runner was killed and is back', () => {
  test('is undone first, and runs again as its retry allows', async () => {
    const id = await start(waiting('again', retrying))
    await scenario.noted('again')
    scenario.system.kill('runner')
    await whenNoted('again', 3)
    goOn('again')
    const run = await scenario.end(id)
    expect([run.status, run.reason]).toEqual(['succeeded', undefined])
    expect(outline(run)).toEqual(['once: errored', 'once: succeeded'])
    expect(scenario.readNote('again')).toEqual(['begun', 'undone', 'begun', 'ended'])
  })

  test('is undone and does not run again if its retry says nothing of errors: the run is taken back', async () => {
    const id = await start(waiting('never', '  after: { commands: [echo after >> NOTES/never] }\n'))
    await scenario.noted('never')
    scenario.system.kill('runner')
    const run = await scenario.end(id)
    expect(run.status).toBe('rolled_back')
    expect(loadStepRow(run, 'once')).toMatchObject({
      status: 'errored',
      attempt: 1,
      reason: 'it was interrupted on runner "local"',
    })
    expect(scenario.readNote('never')).toEqual(['begun', 'undone'])
  })

  test('also if that took so long that nobody knows what it had been doing', async () => {
    const id = await start(waiting('long', retrying))
    await scenario.noted('long')
    await fallSilent(id)
    await whenNoted('long', 3)
    goOn('long')
    expect(outline(await scenario.end(id))).toEqual(['once: errored', 'once: succeeded'])
    expect(scenario.readNote('long')).toEqual(['begun', 'undone', 'begun', 'ended'])
  })

  test('is neither undone nor done again if it had ended while nothing was heard', async () => {
    const id = await start(waiting('done', '  after: { commands: [echo after >> NOTES/done] }\n'))
    await scenario.noted('done')
    const temporal = scenario.system.signal('temporal', 'SIGSTOP')
    try {
      goOn('done')
      await whenNoted('done', 2)
      // As long as its silence may last.
      await new Promise((resolve) => setTimeout(resolve, 12_000))
    } finally {
      process.kill(temporal, 'SIGCONT')
    }
    expect(outline(await scenario.end(id))).toEqual(['once: succeeded', 'after: succeeded'])
    expect(scenario.readNote('done')).toEqual(['begun', 'ended', 'after'])
  })
})

test('a step that was interrupted five times has errored, also if the last time nothing was heard for long', async () => {
  const id = await start(`steps:
  long: { commands: [echo begun >> NOTES/five, sleep 600] }
`)
  for (let times = 1; times < 5; times += 1) {
    await whenNoted('five', times)
    await killOnceKnown()
  }
  await whenNoted('five', 5)
  await untilKnown()
  await fallSilent(id)
  const run = await until(
    'the run ends',
    async () => {
      const found = await scenario.system.client.getRun({ id })
      return isEndedRun(found.status) || scenario.readNote('five').length > 5 ? found : undefined
    },
    120_000,
  )
  expect(run.status).toBe('errored')
  expect(loadStepRow(run, 'long').reason).toBe('runner lost: the step was interrupted 5 times')
  expect(scenario.readNote('five')).toHaveLength(5)
})
