import { Client, Connection } from '@temporalio/client'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startOwnTemporal, type OwnTemporal } from '../test/helpers/own-temporal.ts'
import { resetStickyQueues } from './reset-sticky-queues.ts'

let temporal: OwnTemporal
let client: Client

beforeAll(async () => {
  temporal = await startOwnTemporal()
  client = temporal.client
}, 90_000)

// What beforeAll did not get to is not there.
afterAll(() => (temporal as OwnTemporal | undefined)?.stop())

/** Nobody works on them. */
async function startWorkflows(prefix: string, count: number): Promise<string[]> {
  const ids = Array.from({ length: count }, (_, index) => `${prefix}/${String(index)}`)
  await Promise.all(ids.map((workflowId) => client.workflow.start('none', { taskQueue: 'nobody', workflowId })))
  return ids
}

test('every workflow is asked for; one that has ended, or was never started, is passed over', async () => {
  const workflowIds = [...(await startWorkflows('run', 30)), 'run/never']
  await client.workflow.getHandle('run/7').terminate('a test')
  expect(await resetStickyQueues(client, { workflowIds })).toBe(31)
})

test('no more are begun once the time is up: a control that starts beside many workflows must get to its work', async () => {
  const workflowIds = await startWorkflows('more', 30)
  expect(await resetStickyQueues(client, { workflowIds, withinMs: 0 })).toBe(0)
})

test('a Temporal that cannot be reached is thrown to the caller, who tries again', async () => {
  const lost = Connection.lazy({ address: '127.0.0.1:1' })
  const call = lost.withDeadline(Date.now() + 2_000, () =>
    resetStickyQueues(new Client({ connection: lost }), { workflowIds: ['run/0'] }),
  )
  await expect(call).rejects.toThrow(/./)
  await lost.close()
})
