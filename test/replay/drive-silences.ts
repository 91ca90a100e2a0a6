/** Drives runs that ask after their runner: when the store has no answer for long, and after a long silence between two steps. */
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Client, Connection } from '@temporalio/client'
import { findUpState } from '../../src/cli/up/up-file.ts'
import { armFaultPoint } from '../helpers/arm-fault-point.ts'
import { deploying, startScenario, type Scenario } from '../helpers/scenario.ts'
import { until } from '../helpers/until.ts'
import { endAs, fetchHistory, runWorkflow, type Drive } from './drive.ts'

/** Later than a workflow task says that it is still there, after 4 s of the 5 s it has, and is begun again. */
const taskSaysSoMs = 8_000

export const silenceDrives: readonly Drive[] = [
  {
    records: ['run-runner-silent-in-a-slow-store'],
    async drive() {
      const points = mkdtempSync(join(tmpdir(), 'belay-points-'))
      const scenario = await startScenario({ env: { BELAY_FAULT_POINTS: points } })
      try {
        const { id } = await scenario.start(`steps:
  long:
    commands: [echo begun > NOTES/slow, sleep 3]
`)
        await scenario.noted('slow')
        await whileNobodyAnswers(scenario, join(points, 'activity.findRunner.before'))
        await endAs(scenario, id, 'succeeded')
        const history = await withTemporal(scenario, (temporal) => fetchHistory(temporal, runWorkflow(id)))
        return { 'run-runner-silent-in-a-slow-store': { history, scenario } }
      } finally {
        await scenario.stop()
        rmSync(points, { recursive: true, force: true })
      }
    },
  },
  {
    records: ['run-asks-after-silence'],
    async drive({ scenario }) {
      const after = '  look: { commands: [echo looked] }\n'
      const { id } = await scenario.start(deploying({ version: '1', environment: 'quiet', bake: '11s', after }))
      await endAs(scenario, id, 'succeeded')
      return { 'run-asks-after-silence': runWorkflow(id) }
    },
  },
]

/**
 * The runner is killed, and when the run asks after it nobody knows, for so long that the workflow task has to say that it is still
 * there. Meanwhile the runner comes back, and stands still when the answer comes at last: by then it was heard some seconds ago.
 */
async function whileNobodyAnswers({ system }: Scenario, point: string): Promise<void> {
  const up = system.signal('up', 'SIGSTOP')
  system.kill('runner')
  const refuse = (): void => armFaultPoint(point, 'throw')
  const refusing = setInterval(refuse, 20)
  refuse()
  try {
    await until('the run asks after its runner', () => !existsSync(point))
    const askedAt = Date.now()
    process.kill(up, 'SIGCONT')
    await until('the task has said that it is still there', () => Date.now() > askedAt + taskSaysSoMs)
  } finally {
    process.kill(up, 'SIGCONT')
    clearInterval(refusing)
    rmSync(point, { force: true })
  }
  system.signal('runner', 'SIGSTOP')
  // Asked again every 5 s.
  await new Promise((resolve) => setTimeout(resolve, 4_000))
  system.signal('runner', 'SIGCONT')
}

async function withTemporal<T>({ system }: Scenario, ask: (temporal: Client) => Promise<T>): Promise<T> {
  const address = findUpState(system.data)?.temporal
  if (address === undefined) throw new Error('Belay does not say where its Temporal is')
  const connection = await Connection.connect({ address })
  try {
    return await ask(new Client({ connection }))
  } finally {
    await connection.close()
  }
}
