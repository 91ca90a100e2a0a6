/** A cancel at any moment: what runs is stopped, what was done is taken back, and the run ends `cancelled`. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { findTagged } from '../../src/process/identity.ts'
import type { RunDetail } from '../../src/api/run-schemas.ts'
import { deploying, loadStepRow, outline, startScenario, type Scenario } from '../helpers/scenario.ts'
import { startTraffic } from '../helpers/traffic-process.ts'
import { until } from '../helpers/until.ts'

let scenario: Scenario

beforeAll(async () => {
  scenario = await startScenario({
    environments: ['production', 'empty', 'queue', 'stack', 'late'],
    config: 'runners: { slots: 1 }\n',
  })
})

afterAll(() => scenario.stop())

function cancel(runId: string, reason?: string): Promise<unknown> {
  return scenario.system.client.cancelRun({ id: runId }, reason === undefined ? {} : { reason })
}

/** Everything that says so agrees: the row, its one end among the events, and /proc. */
async function expectCancelled(runId: string): Promise<RunDetail> {
  const run = await scenario.end(runId)
  expect(run.status, run.reason).toBe('cancelled')
  const ends = (await scenario.events(runId)).filter(({ body }) => body.type === 'run' && body.status !== 'running')
  expect(ends.map(({ body }) => body)).toMatchObject([{ status: 'cancelled' }])
  expect(findTagged('BELAY_RUN_ID', runId)).toEqual([])
  return run
}

async function waitForPhase(runId: string, phase: string): Promise<void> {
  await until(`the deployment is in ${phase}`, async () =>
    (await scenario.events(runId)).some(({ body }) => body.type === 'deployment' && body.phase === phase),
  )
}

async function untilQueued(runId: string, environment: string): Promise<void> {
  await until('its deployment waits', async () => {
    const { waits } = await scenario.system.client.getRun({ id: runId })
    return waits.some((wait) => wait.environment === environment)
  })
}

async function deploymentsOf(runId: string, environment: string) {
  const { items } = await scenario.system.client.listDeployments(environment)
  return items.filter((deployment) => deployment.runId === runId)
}

const marking = (note: string) => `steps: { mark: { commands: [echo ran >> NOTES/${note}] } }\n`

describe('a run that has not begun', () => {
  test('with Temporal away ends cancelled when Temporal is back, and none of its steps runs', async () => {
    const { system } = scenario
    const { sha, branch } = await scenario.commit(marking('away'))
    system.signal('temporal', 'SIGSTOP')
    let id: string
    try {
      id = (await system.push(sha, 'cancelled while away', { branch })).id
      await cancel(id, 'not wanted')
    } finally {
      system.signal('temporal', 'SIGCONT')
    }
    const run = await expectCancelled(id)
    expect(run.reason).toBe('not wanted')
    // The dispatcher has nothing left that could start it.
    await scenario.run(marking('later'))
    expect(scenario.readNote('away')).toEqual([])
  })

  test('while the only slot is taken ends cancelled at once, and the other run goes on', async () => {
    const busy = await scenario.start(`steps:
  hold: { commands: [echo begun > NOTES/busy, 'while [ ! -f NOTES/let-go ]; do sleep 0.1; done'] }
  let_go: { commands: ['true'] }
`)
    await scenario.noted('busy')
    const waiting = await scenario.start(marking('waiting'))
    await until('it waits for a runner', async () => (await scenario.system.client.getRun(waiting)).status === 'running')
    await cancel(waiting.id)
    const run = await expectCancelled(waiting.id)
    expect(run.reason).toBe('cancelled by admin')
    expect(scenario.readNote('waiting')).toEqual([])
    expect((await scenario.system.client.getRun(busy)).status).toBe('running')
    writeFileSync(join(scenario.notes, 'let-go'), '')
    expect((await scenario.end(busy.id)).status).toBe('succeeded')
  })

  test('right after its push, ends cancelled', async () => {
    const ids = []
    for (let count = 0; count < 5; count += 1) {
      const { id } = await scenario.start(`steps: { hang: { commands: [sleep 300] } }\n`)
      await cancel(id)
      ids.push(id)
    }
    for (const id of ids) await expectCancelled(id)
  })
})

describe('a run in mid-step', () => {
  test('is stopped with its whole process tree, what it did is undone, and finally is told', async () => {
    const { id } = await scenario.start(`steps:
  done: { commands: ['true'], undo: { commands: [echo undid done >> NOTES/mid] } }
  hang:
    commands:
      - (setsid sh -c 'trap "" TERM; sleep 300; sleep 300' >/dev/null 2>&1 &)
      - echo begun > NOTES/hanging
      - sleep 300
    undo: { commands: [echo undid hang >> NOTES/mid] }
  never: { commands: ['true'] }
finally:
  told: { when: { status: [cancelled] }, commands: [echo told >> NOTES/mid] }
  not_told: { when: { status: [failed, rolled_back] }, commands: [echo wrong >> NOTES/mid] }
`)
    await scenario.noted('hanging')
    await until('its processes are there', () => findTagged('BELAY_RUN_ID', id).length >= 3)
    await cancel(id, 'enough')
    const run = await expectCancelled(id)
    expect(run.reason).toBe('enough')
    expect(outline(run).slice(0, 3)).toEqual(['done: succeeded', 'hang: cancelled', 'never: skipped'])
    expect(scenario.readNote('mid')).toEqual(['undid hang', 'undid done', 'told'])
  })

  test('cancelled twice, and again after its end, is cancelled once', async () => {
    const { id } = await scenario.start(`steps:
  hang: { commands: [echo begun > NOTES/twice, sleep 300], undo: { commands: [echo undone >> NOTES/undone-twice] } }
`)
    await scenario.noted('twice')
    await Promise.all([cancel(id, 'the first'), cancel(id, 'the second')])
    const run = await expectCancelled(id)
    await cancel(id, 'the third')
    expect(await scenario.system.client.getRun({ id })).toEqual(run)
    expect(scenario.readNote('undone-twice')).toEqual(['undone'])
  })
})

describe('a run that is on its way back', () => {
  test('finishes that, and ends as what it was: a cancel comes too late', async () => {
    const { id } = await scenario.start(`steps:
  one:
    commands: ['true']
    undo: { commands: [echo undoing >> NOTES/back, 'while [ ! -f NOTES/undo-on ]; do sleep 0.1; done', echo undone >> NOTES/back] }
  two: { commands: ['false'] }
`)
    await scenario.noted('back')
    await cancel(id)
    await until('the cancel is delivered to the workflow', () =>
      readFileSync(join(scenario.system.data, 'parts/main.log'), 'utf8')
        .split('\n')
        .some((line) => line.includes(id) && line.includes('"command":"cancel"') && line.includes('command delivered')),
    )
    writeFileSync(join(scenario.notes, 'undo-on'), '')
    expect((await scenario.end(id)).status).toBe('rolled_back')
    expect(scenario.readNote('back')).toEqual(['undoing', 'undone'])
  })
})

describe('a run that deploys', () => {
  test('while its release is watched: the old release serves again, no request fails, and the release is not kept', async () => {
    const { system } = scenario
    expect((await scenario.run(deploying({ version: 'old' }))).status).toBe('succeeded')
    const before = await system.client.getEnvironment('production')
    const traffic = startTraffic(`${system.edge}/version`)
    try {
      const { id } = await scenario.start(deploying({ version: 'new', bake: '120s' }))
      await waitForPhase(id, 'verify')
      await until('the new release answers', async () => (await (await fetch(`${system.edge}/version`)).text()) === 'new')
      await cancel(id)
      const run = await expectCancelled(id)
      expect(loadStepRow(run, 'ship').status).toBe('cancelled')
      expect(run.undo).toMatchObject([{ step: 'ship', status: 'done' }])
      expect(await (await fetch(`${system.edge}/version`)).text()).toBe('old')
      const after = await system.client.getEnvironment('production')
      expect(after.current).toEqual(before.current)
      expect(after.history.map(({ status }) => status)).toEqual(['kept', 'undone'])
      const counts = await traffic.stop()
      expect(counts.failures).toEqual([])
      expect(Object.keys(counts.versions).toSorted()).toEqual(['new', 'old'])
    } finally {
      traffic.kill()
    }
  })

  test('with nothing deployed before: nothing serves afterwards', async () => {
    const { id } = await scenario.start(deploying({ version: 'first', environment: 'empty', bake: '120s' }))
    await waitForPhase(id, 'verify')
    await cancel(id)
    await expectCancelled(id)
    expect((await fetch(`${scenario.system.edgeOf('empty')}/version`)).status).toBe(503)
    expect((await scenario.system.client.getEnvironment('empty')).current).toBeUndefined()
  })

  test('while its deployment waits behind another: it is withdrawn, and the other one serves', async () => {
    const first = await scenario.start(deploying({ version: 'ahead', environment: 'queue', bake: '120s' }))
    await waitForPhase(first.id, 'verify')
    const second = await scenario.start(deploying({ version: 'behind', environment: 'queue' }))
    await until('it waits', async () => (await scenario.system.client.getRun(second)).undo.some(({ step }) => step === 'ship'))
    await cancel(second.id)
    await expectCancelled(second.id)
    expect((await scenario.system.client.getEnvironment('queue')).active?.runId).toBe(first.id)
    expect(await (await fetch(`${scenario.system.edgeOf('queue')}/version`)).text()).toBe('ahead')
    await cancel(first.id)
    await expectCancelled(first.id)
  })

  test('while its deployment waits, and what it did since takes long to undo: its release is never begun', async () => {
    const first = await scenario.start(deploying({ version: 'ahead', environment: 'stack', bake: '120s' }))
    await waitForPhase(first.id, 'verify')
    const after = `  gate: { needs: [image], commands: ['while [ ! -f NOTES/gate ]; do sleep 0.1; done'] }
  slow:
    needs: [gate]
    commands: ['true']
    undo: { commands: [echo undoing > NOTES/slow, 'while [ ! -f NOTES/slow-on ]; do sleep 0.1; done'] }
  last: { needs: [slow, ship], commands: ['true'] }
`
    const second = await scenario.start(deploying({ version: 'behind', environment: 'stack', after }))
    await untilQueued(second.id, 'stack')
    writeFileSync(join(scenario.notes, 'gate'), '')
    await until('it owes more', async () =>
      (await scenario.system.client.getRun(second)).steps.some(({ step, status }) => step === 'slow' && status === 'succeeded'),
    )
    await cancel(second.id)
    await scenario.noted('slow')
    await cancel(first.id)
    await expectCancelled(first.id)
    await until('nothing waits there any more', async () => {
      const { queued, active } = await scenario.system.client.getEnvironment('stack')
      return queued === 0 && active === undefined
    })
    writeFileSync(join(scenario.notes, 'slow-on'), '')
    const run = await expectCancelled(second.id)
    expect(run.undo.map(({ step, status }) => `${step} ${status}`)).toEqual(['ship done', 'slow done'])
    expect(await deploymentsOf(second.id, 'stack')).toEqual([])
  })

  test('a deployment that timed out in the queue is not carried out beside that of the next attempt', async () => {
    const first = await scenario.start(deploying({ version: 'ahead', environment: 'late', bake: '120s' }))
    await waitForPhase(first.id, 'verify')
    const after = '    timeout: 10s\n    retry: { max: 1, on: [timed_out], backoff: 100ms }\n'
    const second = await scenario.start(deploying({ version: 'behind', environment: 'late', after }))
    await until('the first attempt is over', async () =>
      (await scenario.system.client.getRun(second)).steps.some(({ step, status }) => step === 'ship' && status === 'timed_out'),
    )
    await cancel(first.id)
    await expectCancelled(first.id)
    const run = await scenario.end(second.id)
    expect(run.status, run.reason).toBe('succeeded')
    expect(outline(run)).toEqual(['image: succeeded', 'image_release: succeeded', 'ship: timed_out', 'ship: succeeded'])
    expect((await deploymentsOf(second.id, 'late')).map(({ status }) => status)).toEqual(['deployed'])
  })
})
