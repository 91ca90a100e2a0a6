import { afterEach, beforeEach, expect, test } from 'vitest'
import { openFrontDoor, type FrontDoor } from '../../test/helpers/front-door.ts'
import { runProgram } from './program.ts'
import { testIo } from './test-io.ts'

let door: FrontDoor

beforeEach(async () => {
  door = await openFrontDoor()
  const report = { slots: 4, labels: ['linux', 'big'], token: 'runner:one' }
  await door.store.presence.report({ ...report, runner: 'here', busy: 3, at: Date.now() })
  await door.store.presence.report({ ...report, runner: 'away', busy: 1, at: Date.now() - 3 * 3_600_000 })
})

afterEach(() => door.close())

async function runners(...flags: string[]): Promise<string> {
  const io = testIo({ cwd: door.directory, env: { BELAY_URL: await door.listen(), BELAY_TOKEN: await door.token('viewer') } })
  await runProgram(['runners', ...flags], io)
  expect(io.result).toMatchObject({ code: 0, err: '' })
  return io.result.out
}

test('lists which runners are there, since when, and how busy they are', async () => {
  const [head, ...rows] = (await runners()).trim().split('\n')
  expect(head?.split(/ {2,}/)).toEqual(['RUNNER', 'STATE', 'SINCE', 'BUSY', 'LABELS', 'LAST SEEN'])
  expect(rows[0]?.split(/ {2,}/)).toEqual(['away', 'INACTIVE', '3 h ago', 'linux, big', '3 h ago'])
  expect(rows[1]).toMatch(/^here {2,}ACTIVE {2,}\d+ s ago {2,}3 of 4 {2,}linux, big {2,}\d+ s ago$/)
})

test('as JSON it has all of it, and no token', async () => {
  const { items } = JSON.parse(await runners('--json')) as { items: object[] }
  expect(items).toMatchObject([
    { runner: 'away', status: 'INACTIVE', slots: 4, busy: 1 },
    { runner: 'here', status: 'ACTIVE', slots: 4, busy: 3, labels: ['linux', 'big'] },
  ])
  expect(items.map((item) => Object.keys(item).includes('token'))).toEqual([false, false])
})
