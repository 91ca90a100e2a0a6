import { afterEach, beforeEach, expect, test } from 'vitest'
import { createMemoryLog, openFrontDoor, startPlannedRun, type FrontDoor } from '../../test/helpers/front-door.ts'
import { until } from '../../test/helpers/until.ts'
import { startOutbox } from './outbox.ts'

let door: FrontDoor
let warnings: Error[]
const keep = (warning: Error) => warnings.push(warning)

beforeEach(async () => {
  door = await openFrontDoor()
  warnings = []
  process.on('warning', keep)
})
afterEach(async () => {
  process.off('warning', keep)
  await door.close()
})

test('an outbox that is woken again and again leaves nothing of its waits behind', async () => {
  const { config, store } = door
  const outbox = startOutbox({ config, store, log: createMemoryLog().log })
  for (let round = 0; round < 20; round += 1) {
    const { id } = await startPlannedRun(store)
    await store.runs.finish(id, { status: 'failed', at: Date.now() }, [])
    await until('nothing is owed', async () => (await store.outbox.list({})).items.length === 0)
  }
  await outbox.stop()
  // Node warns of the eleventh listener on one signal.
  expect(warnings.map(({ name }) => name)).toEqual([])
})
