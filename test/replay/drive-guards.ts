/** Drives what people hold up: freeze windows, blocked releases; and an environment that continues as new with both. */
import { randomUUID } from 'node:crypto'
import { environmentWorkflowId } from '../../src/contract/workflow-ids.ts'
import { deploying, startScenario, type Committed, type Scenario } from '../helpers/scenario.ts'
import { startShortHistories } from '../helpers/short-histories.ts'
import { until } from '../helpers/until.ts'
import { endAs, fetchHistory, runWorkflow, type Drive } from './drive.ts'

export const guardEnvironments = ['frozen', 'blocked', 'leaking'] as const

export const guardDrives: readonly Drive[] = [
  {
    records: ['run-frozen', 'environment-frozen'],
    async drive({ scenario }) {
      const { client } = scenario.system
      await client.freeze('frozen', { for: '8h', reason: 'the party' })
      const { id } = await scenario.start(deploying({ version: '1', environment: 'frozen' }))
      await until('it waits', async () => (await scenario.events(id)).some(({ body }) => body.type === 'waiting'))
      await client.unfreeze('frozen')
      await endAs(scenario, id, 'succeeded')
      return { 'run-frozen': runWorkflow(id), 'environment-frozen': environmentWorkflowId('frozen') }
    },
  },
  {
    records: ['run-blocked', 'environment-blocked'],
    async drive({ scenario }) {
      const { client } = scenario.system
      await deploy(scenario, 'blocked', '1')
      const { branch, sha } = await deploy(scenario, 'blocked', '2')
      const serves = await servedNumber(scenario, 'blocked')
      const { rollback } = await client.block('blocked', { release: String(serves), reason: 'leaks memory', rollback: true })
      await ended(scenario, 'blocked', rollback?.requestId)
      const { id } = await client.startRun({ project: 'hello', branch, sha })
      await endAs(scenario, id, 'rolled_back')
      return { 'run-blocked': runWorkflow(id), 'environment-blocked': environmentWorkflowId('blocked') }
    },
  },
  {
    records: ['environment-blocked-in-bake'],
    async drive({ scenario }) {
      const { client } = scenario.system
      await deploy(scenario, 'leaking', '1')
      const { id } = await scenario.start(deploying({ version: '2', environment: 'leaking', bake: '5m' }))
      const active = await until('it is watched', async () => {
        const state = await client.getEnvironment('leaking')
        return state.active?.runId === id && state.current?.release.id === state.active.release.id && state.active
      })
      await client.block('leaking', { release: String(active.release.number), reason: 'leaks memory', rollback: true })
      await endAs(scenario, id, 'rolled_back')
      return { 'environment-blocked-in-bake': environmentWorkflowId('leaking') }
    },
  },
  {
    records: ['environment-continues-as-new', 'environment-continued'],
    async drive() {
      const histories = await startShortHistories()
      try {
        const scenario = await startScenario({ environments: ['production'], env: { TEMPORAL_ADDRESS: histories.address } })
        try {
          const { client } = scenario.system
          const workflowId = environmentWorkflowId('production')
          await client.freeze('production', { from: '2099-01-01T00:00Z', for: '1h', reason: 'far off' })
          await deploy(scenario, 'production', '1')
          await deploy(scenario, 'production', '2')
          const [first] = await until('it has continued', async () => {
            const found = await histories.continued(workflowId)
            return found.length > 0 && found
          })
          const { requestId } = await client.rollback('production', {}, randomUUID())
          await ended(scenario, 'production', requestId)
          const fetched = async (runId?: string) => ({
            history: await fetchHistory(histories.client, workflowId, runId),
            scenario,
          })
          const latest = (await histories.continued(workflowId)).at(-1)
          return {
            'environment-continues-as-new': await fetched(first),
            'environment-continued': await fetched(latest === first ? undefined : latest),
          }
        } finally {
          await scenario.stop()
        }
      } finally {
        await histories.stop()
      }
    },
  },
]

async function deploy(scenario: Scenario, environment: string, version: string): Promise<Committed> {
  const started = await scenario.start(deploying({ version, environment }))
  await endAs(scenario, started.id, 'succeeded')
  return started
}

async function servedNumber({ system }: Scenario, environment: string): Promise<number | undefined> {
  return (await system.client.getEnvironment(environment)).current?.release.number
}

async function ended({ system }: Scenario, environment: string, requestId: string | undefined): Promise<void> {
  await until('the rollback has ended', async () => {
    const { items } = await system.client.listDeployments(environment)
    return items.some((one) => one.requestId === requestId && one.status === 'deployed')
  })
}
