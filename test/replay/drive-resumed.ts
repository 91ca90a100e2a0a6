/** Drives a run that ends badly, and goes on after that. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { runWorkflowId } from '../../src/contract/workflow-ids.ts'
import { until } from '../helpers/until.ts'
import { endAs, type Drive } from './drive.ts'

export const resumedDrives: readonly Drive[] = [
  {
    records: ['run-resumed'],
    async drive({ scenario }) {
      const { id } = await scenario.start(`steps:
  build: { commands: [echo built > made], artifacts: { paths: [made] } }
  gate: { commands: [test -e NOTES/resumed-open, test -e made] }
`)
      await endAs(scenario, id, 'failed')
      writeFileSync(join(scenario.notes, 'resumed-open'), '')
      await scenario.system.client.retryRun({ id })
      await until('it has gone on', async () => (await scenario.system.client.getRun({ id })).status === 'succeeded')
      return { 'run-resumed': runWorkflowId(id, 1) }
    },
  },
]
