import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openFrontDoor, startPlannedRun, type FrontDoor } from '../../test/helpers/front-door.ts'
import type { LogKey, Run } from '../store/store.ts'
import { cutLogs } from './cut-logs.ts'

describe('cut-logs', () => {
  let door: FrontDoor
  let run: Run
  beforeEach(async () => {
    door = await openFrontDoor()
    run = await startPlannedRun(door.store)
  })
  afterEach(() => door.close())

  const keyOf = (epoch: number, attempt = 1): LogKey => ({ runId: run.id, step: 'build', attempt, epoch, part: 'step' })
  const write = (key: LogKey, text: string, final = false) =>
    door.store.logs.append(key, { offset: 0, bytes: Buffer.from(text), final })
  const read = async (key: LogKey) => (await door.store.logs.read(key, { offset: 0, length: 1000 })).toString()

  it('ends what a lost runner left open with a line that says so, once', async () => {
    await write(keyOf(1), 'half a li')
    for (let times = 0; times < 2; times += 1) await cutLogs(door.store, { runId: run.id, epoch: 2, runner: 'r1' })
    expect(await read(keyOf(1))).toBe('half a li\n[belay] cut off: runner "r1" was lost\n')
    expect(await door.store.logs.list(run.id, 'build')).toMatchObject([{ closed: true }])
  })

  it.each([3, 200])('writes the whole line also where the log has grown by %i bytes since it was listed', async (grown) => {
    await write(keyOf(1), 'half a li')
    const { store } = door
    const more = 'x'.repeat(grown)
    const list = async (runId: string, step: string) => {
      const listed = await store.logs.list(runId, step)
      if (step === 'build') await store.logs.append(keyOf(1), { offset: 9, bytes: Buffer.from(more), final: false })
      return listed
    }
    await cutLogs({ runs: store.runs, logs: { ...store.logs, list } }, { runId: run.id, epoch: 2, runner: 'r1' })
    expect(await read(keyOf(1))).toBe(`half a li${more}\n[belay] cut off: runner "r1" was lost\n`)
    expect(await store.logs.list(run.id, 'build')).toMatchObject([{ closed: true }])
  })

  it('leaves alone what has ended, and what is written under the new epoch', async () => {
    await write(keyOf(1), 'whole\n', true)
    await write(keyOf(2, 2), 'going on\n')
    await cutLogs(door.store, { runId: run.id, epoch: 2, runner: 'r1' })
    expect([await read(keyOf(1)), await read(keyOf(2, 2))]).toEqual(['whole\n', 'going on\n'])
    expect(await door.store.logs.list(run.id, 'build')).toMatchObject([{ closed: true }, { closed: false }])
  })
})
