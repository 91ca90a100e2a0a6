import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { hookSecret, openFrontDoor, startPlannedRun, type FrontDoor } from '../../test/helpers/front-door.ts'
import { postPush } from '../../test/helpers/hook.ts'
import { skipUnless } from '../../test/helpers/skips.ts'
import { mountSmallDisk, smallDiskMissing, type SmallDisk } from '../../test/helpers/small-disk.ts'
import { until } from '../../test/helpers/until.ts'
import { createApp } from './app.ts'
import { createDisk, isLow } from './disk.ts'
import { startDispatcher, type Dispatcher } from './dispatcher.ts'

const gb = 1024 ** 3

describe('a disk', () => {
  it.each([
    ['under 1 GB', { freeBytes: 0.9 * gb, totalBytes: 10 * gb }, true],
    ['under 5 %', { freeBytes: 40 * gb, totalBytes: 1000 * gb }, true],
    ['over both', { freeBytes: 1.1 * gb, totalBytes: 10 * gb }, false],
  ])('%s', (_, room, low) => {
    expect(isLow(room, false)).toBe(low)
  })

  it.each([
    ['1.25 GB', { freeBytes: 1.2 * gb, totalBytes: 10 * gb }, { freeBytes: 1.3 * gb, totalBytes: 10 * gb }],
    ['6 %', { freeBytes: 55 * gb, totalBytes: 1000 * gb }, { freeBytes: 65 * gb, totalBytes: 1000 * gb }],
  ])('that was low is so until %s are free', (_, before, after) => {
    expect(isLow(before, true)).toBe(true)
    expect(isLow(before, false)).toBe(false)
    expect(isLow(after, true)).toBe(false)
  })
})

describe('while the disk is low', () => {
  let door: FrontDoor
  let small: SmallDisk
  let dispatcher: Dispatcher

  beforeEach(async () => {
    skipUnless(smallDiskMissing() === undefined, smallDiskMissing() ?? '')
    door = await openFrontDoor()
    small = await mountSmallDisk({ bytes: 3 * gb, owner: { uid: 0, gid: 0 } })
    await small.leaveFree(0.5 * gb)
    dispatcher = startDispatcher({ ...door, disk: createDisk(small.directory) })
  })

  afterEach(async () => {
    await dispatcher.stop()
    await small.remove()
    await door.close()
  })

  it('runs wait and say why, may be cancelled, and begin when there is room to spare', async () => {
    const [run, unwanted] = [await startPlannedRun(door.store), await startPlannedRun(door.store)]
    const find = async (id: string) => await door.store.runs.find(id)
    await until('both say why', async () => {
      const reasons = [(await find(run.id))?.reason, (await find(unwanted.id))?.reason]
      return reasons.every((reason) => reason?.startsWith('disk low: 0.5 GB of 0.5 GB free'))
    })
    await door.store.runs.cancel({ runId: unwanted.id, actor: { id: 'token:ana', name: 'ana' } })
    expect(await find(unwanted.id)).toMatchObject({ status: 'cancelled' })
    await small.leaveFree(Math.round(1.1 * gb))
    const later = await startPlannedRun(door.store)
    await until('a later one says so, too', async () => (await find(later.id))?.reason?.startsWith('disk low'))
    expect(door.logged()).not.toContain('command not delivered')
    await small.leaveFree(2 * gb)
    // Temporal is away here: that its start is tried is what there is to see.
    await until('its start is tried', () => door.logged().includes(`"run":"${run.id}","command":"start"`))
  })

  it('hooks are taken, their runs wait, and readiness says what is the matter', async () => {
    // Whether Temporal is there is not the question here.
    const orchestrator = { ...door.orchestrator, ping: () => Promise.resolve() }
    const app = createApp({ ...door, orchestrator, disk: createDisk(small.directory) })
    try {
      const url = await app.listen({ host: '127.0.0.1', port: 0 })
      const push = { url: `${url}/hooks/shop`, secret: hookSecret, sha: '1'.repeat(40), message: 'a commit' }
      expect((await postPush(push)).status).toBe(202)
      await until(
        'its run says why',
        async () => (await door.store.runs.list({})).items[0]?.reason?.startsWith('disk low') === true,
      )
      const ready = await fetch(`${url}/readyz`)
      expect(ready.status).toBe(200)
      expect(await ready.json()).toEqual({ status: 'ready', warning: expect.stringContaining('disk low: 0.5 GB') as string })
    } finally {
      await app.close()
    }
  })
})
