/** Somebody ends a run inside Temporal: that run is lost to us, and must not be the end of anything else. */
import { Client, Connection } from '@temporalio/client'
import { expect, it } from 'vitest'
import { findUpState } from '../../src/cli/up/up-file.ts'
import { runWorkflowId } from '../../src/contract/workflow-ids.ts'
import { isEndedRun } from '../../src/domain/run.ts'
import { startSystem } from '../helpers/system.ts'
import { until } from '../helpers/until.ts'

it('with one run terminated in Temporal and control killed, the next push is released', { timeout: 180_000 }, async () => {
  const system = await startSystem()
  try {
    const slow = await system.commit({ 'behaviour.json': '{ "buildDelayMs": 20000 }\n' }, 'slow')
    const terminated = await system.push(slow, 'slow')
    await until('it builds', async () => (await system.readLog(terminated.id, 'build')).includes('compiled 1 of 10'))
    const connection = await Connection.connect({ address: findUpState(system.data)?.temporal ?? '' })
    await new Client({ connection }).workflow.getHandle(runWorkflowId(terminated.id)).terminate('a test')
    await connection.close()

    system.kill('main')
    const quick = await system.commit({ 'behaviour.json': '{ "buildDelayMs": 0 }\n' }, 'quick')
    const next = await until('the push is taken', () => system.push(quick, 'quick').catch(() => undefined)) // The server is restarting.
    const ended = await until('the next run ends', async () => {
      const run = await system.client.getRun({ id: next.id })
      return isEndedRun(run.status) ? run : undefined
    })
    expect(ended).toMatchObject({ status: 'succeeded' })
  } finally {
    await system.stop()
  }
})
