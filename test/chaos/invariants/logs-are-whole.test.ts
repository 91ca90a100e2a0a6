import { appendFileSync, rmSync, truncateSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { commandsStep, planOf } from '../../../src/runner/testing/plan.ts'
import { logPath } from '../../../src/store/logs/paths.ts'
import type { StepChange } from '../../../src/domain/run-event.ts'
import type { Run } from '../../../src/store/store.ts'
import { expectedLines } from '../expected-lines.ts'
import { logsAreWhole } from './logs-are-whole.ts'
import { change, linesOf, smallWorlds, type SmallWorld } from './testing.ts'

const openWorld = smallWorlds()
const lines = expectedLines('build', 3)
const whole = `$ make\n${lines.join('\n')}\n`
const cut = `$ make\n${String(lines[0])}\nbuild line 2\n[belay] cut off: the runner was killed\n`

async function judge(small: SmallWorld): Promise<string[]> {
  return linesOf((await logsAreWhole(await small.remember())).violations)
}

/** A world with one run that has ended so, and no log. */
async function worldWith(...changes: StepChange[]): Promise<{ small: SmallWorld; run: Run }> {
  const small = await openWorld()
  const [run] = await small.deliver()
  if (run === undefined) throw new Error('no run')
  await small.carryOut(run, { changes, silent: true, end: changes.at(-1)?.status === 'succeeded' ? 'succeeded' : 'failed' })
  return { small, run }
}

function fileOf({ world }: SmallWorld, { id: runId }: Run): string {
  return join(world.places.logs, logPath({ runId, step: 'build', attempt: 1, epoch: 1, part: 'step' }).file)
}

describe('nothing to say of', () => {
  it('a whole log, and a cut one before it that says so', async () => {
    const { small, run } = await worldWith(change('build', 'succeeded', { epoch: 2 }))
    await small.writeLog({ runId: run.id, epoch: 1 }, cut)
    await small.writeLog({ runId: run.id, epoch: 2 }, whole)
    const finding = await logsAreWhole(await small.remember())
    expect([linesOf(finding.violations), finding.looked]).toEqual([[], { I6: 2, 'I6 step logs': 2 }])
  })

  it('a whole log of an attempt that was lost with its workspace afterwards, and one of such that says it was cut', async () => {
    for (const text of [whole, cut]) {
      const lost = change('build', 'errored', { epoch: 2 })
      const { small, run } = await worldWith(change('build', 'succeeded', { epoch: 1 }), lost)
      await small.writeLog({ runId: run.id, epoch: 1 }, text)
      expect(await judge(small)).toEqual([])
    }
  })

  it('what a builder prints, whatever it is', async () => {
    const small = await openWorld()
    const [run] = await small.deliver()
    if (run === undefined) throw new Error('no run')
    const { commands: _commands, ...rest } = commandsStep('build', [])
    const buildImage = { builder: 'pack' as const, repository: 'shop/app', tags: [], labels: {}, files: {}, entrypoint: ['app'] }
    const plan = planOf([{ ...rest, kind: 'build_image', buildImage }])
    await small.carryOut(run, { plan, changes: [change('build', 'succeeded')], silent: true })
    await small.writeLog({ runId: run.id }, 'build is made\n')
    expect(await judge(small)).toEqual([])
  })

  it('a part of the lines of a step that was cancelled, and bytes past the end of a log that is still open', async () => {
    const { small, run } = await worldWith(change('build', 'cancelled'))
    await small.writeLog({ runId: run.id }, `${String(lines[0])}\n`)
    expect(await judge(small)).toEqual([])
    const open = await openWorld()
    const [goesOn] = await open.deliver()
    if (goesOn === undefined) throw new Error('no run')
    await open.carryOut(goesOn, { changes: [change('build', 'running')], silent: true, end: 'open' })
    await open.writeLog({ runId: goesOn.id }, `${String(lines[0])}\n`, { final: false })
    appendFileSync(fileOf(open, goesOn), 'of a killed server')
    expect(await judge(open)).toEqual([])
  })

  it('a whole log of an end that nobody had heard of', async () => {
    const { small, run } = await worldWith(change('build', 'succeeded', { epoch: 2 }))
    await small.writeLog({ runId: run.id, epoch: 1 }, whole)
    await small.writeLog({ runId: run.id, epoch: 2 }, whole)
    expect(await judge(small)).toEqual([])
  })

  it('what a step lacks that failed on a full disk, and only of that', async () => {
    const { small, run } = await worldWith(change('build', 'failed'))
    await small.writeLog({ runId: run.id }, '$ make\n')
    small.ledger.faults.push({ at: 3, name: 'disk workspace full', healedAt: 4 })
    expect((await judge(small)).join()).toContain('its attempt failed, and it has 0 of no lines')
    small.ledger.faults.push({ at: 2, name: 'disk workspace full' })
    expect(await judge(small)).toEqual([])
  })
})

describe('says that', () => {
  it.each<[string, StepChange['status'], string, string]>([
    [
      'a step that succeeded lacks its last line',
      'succeeded',
      `${lines.slice(0, 2).join('\n')}\n`,
      'its attempt succeeded, and it has 2 of 3 lines',
    ],
    [
      'a step that failed lacks its last line',
      'failed',
      `${lines.slice(0, 2).join('\n')}\n`,
      'its attempt failed, and it has 2 of 3 lines',
    ],
    ['a step that succeeded printed nothing', 'succeeded', '$ make\n', 'its attempt succeeded, and it has 0 of no lines'],
    ['a log has a gap', 'cancelled', `${String(lines[0])}\n${String(lines[2])}\n`, 'after line 1 comes "build line 3 of 3"'],
    ['a log has a line twice', 'succeeded', `${String(lines[0])}\n${whole}`, 'after line 1 comes "build line 1 of 3"'],
  ])('%s', async (_, status, text, facts) => {
    const { small, run } = await worldWith(change('build', status))
    await small.writeLog({ runId: run.id }, text)
    expect(await judge(small)).toEqual([`I6 run ${run.id}, log of step build, attempt 1, epoch 1: ${facts}`])
  })

  it('an attempt that was lost with its workspace afterwards has neither', async () => {
    const lost = change('build', 'errored', { epoch: 2 })
    const { small, run } = await worldWith(change('build', 'succeeded', { epoch: 1 }), lost)
    await small.writeLog({ runId: run.id, epoch: 1 }, `${String(lines[0])}\n`)
    expect((await judge(small)).join()).toContain('epoch 1: its attempt succeeded, and it has 1 of 3 lines')
  })

  it('a cut log does not say so', async () => {
    const { small, run } = await worldWith(change('build', 'succeeded', { epoch: 2 }))
    await small.writeLog({ runId: run.id, epoch: 1 }, `${String(lines[0])}\n`)
    await small.writeLog({ runId: run.id, epoch: 2 }, whole)
    expect((await judge(small)).join()).toContain('epoch 1: it was cut, and does not say so; it ends "build line 1 of 3\\n"')
  })

  it('an attempt that ended has no log, or one that was never closed', async () => {
    const { small, run } = await worldWith(change('build', 'succeeded'))
    expect(await judge(small)).toEqual([`I6 run ${run.id}, step build, attempt 1: succeeded under epoch 1, and has no log`])
    await small.writeLog({ runId: run.id }, whole, { final: false })
    expect((await judge(small)).join()).toContain('it was never closed, and its run has ended')
  })

  it('the disk has less, more, or nothing of what the row says', async () => {
    const { small, run } = await worldWith(change('build', 'succeeded'))
    await small.writeLog({ runId: run.id }, whole)
    const size = String(whole.length)
    appendFileSync(fileOf(small, run), 'more')
    expect((await judge(small)).join()).toContain(`its row says ${size} bytes, the disk has ${String(whole.length + 4)}`)
    truncateSync(fileOf(small, run), 10)
    expect((await judge(small)).join()).toContain(`its row says ${size} bytes, the disk has 10`)
    rmSync(fileOf(small, run))
    expect((await judge(small)).join()).toContain(`its row says ${size} bytes, the disk has 0`)
  })
})
