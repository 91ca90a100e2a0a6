/** Drives deployments; each story has an environment of its own, so that its history begins and ends with it. */
import { randomUUID } from 'node:crypto'
import { renameSync } from 'node:fs'
import { join } from 'node:path'
import { environmentWorkflowId } from '../../src/contract/workflow-ids.ts'
import type { Deployment } from '../../src/domain/environment.ts'
import { deploying, type Scenario } from '../helpers/scenario.ts'
import { until } from '../helpers/until.ts'
import { endAs, endForGood, runWorkflow, type Drive } from './drive.ts'

export const driveEnvironments = ['first', 'bad', 'back', 'chosen', 'broken', 'withdrawn', 'recovered', 'stuck', 'ended'] as const
type DriveEnvironment = (typeof driveEnvironments)[number]

/** Longer than anything that is to happen while it is watched. */
const longBake = '5m'

export const deploymentDrives: readonly Drive[] = [
  {
    records: ['run-succeeded', 'environment-first-deployment'],
    async drive({ scenario }) {
      const before = '  build:\n    commands: [echo made > made.txt]\n    artifacts: { paths: [made.txt] }\n'
      const { id } = await scenario.start(deploying({ version: '1', environment: 'first', bake: '1s', before }))
      await endAs(scenario, id, 'succeeded')
      return { 'run-succeeded': runWorkflow(id), 'environment-first-deployment': workflowOf('first') }
    },
  },
  {
    records: ['run-release-taken-back', 'environment-release-taken-back'],
    async drive({ scenario }) {
      await deploy(scenario, 'bad', '1')
      const { id } = await scenario.start(deploying({ version: '2', environment: 'bad', bake: longBake }))
      await watched(scenario, id)
      await fetch(`${scenario.system.edgeOf('bad')}/sicken`)
      await endAs(scenario, id, 'rolled_back')
      return { 'run-release-taken-back': runWorkflow(id), 'environment-release-taken-back': workflowOf('bad') }
    },
  },
  {
    records: ['environment-rollback'],
    async drive({ scenario }) {
      await deploy(scenario, 'back', '1')
      await deploy(scenario, 'back', '2')
      const { client } = scenario.system
      await client.rollback('back', { reason: 'version 1 was better' }, randomUUID())
      await endOfRequest(scenario, 'back', 'rollback')
      return { 'environment-rollback': workflowOf('back') }
    },
  },
  {
    records: ['environment-person-deployment'],
    async drive({ scenario }) {
      const { client } = scenario.system
      await deploy(scenario, 'chosen', '1')
      const older = (await client.getEnvironment('chosen')).current?.release.number
      await deploy(scenario, 'chosen', '2')
      await client.deploy('chosen', { release: String(older), reason: 'version 1 was asked for' }, randomUUID())
      await endOfRequest(scenario, 'chosen', 'deploy')
      return { 'environment-person-deployment': workflowOf('chosen') }
    },
  },
  {
    records: ['run-deploy-retried'],
    async drive({ scenario }) {
      const retry = '    retry: { max: 1, on: [failed], backoff: 1s }\n'
      const entrypoint = '[node, /app/app.cjs/missing]'
      const { id } = await scenario.start(deploying({ version: '1', environment: 'broken', entrypoint, after: retry }))
      await endAs(scenario, id, 'rolled_back')
      return { 'run-deploy-retried': runWorkflow(id) }
    },
  },
  {
    records: ['run-cancelled-in-bake', 'environment-withdrawn-in-bake'],
    async drive({ scenario }) {
      const { id } = await scenario.start(deploying({ version: '1', environment: 'withdrawn', bake: longBake }))
      await watched(scenario, id)
      await scenario.system.client.cancelRun({ id }, { reason: 'not today' })
      await endAs(scenario, id, 'cancelled')
      return { 'run-cancelled-in-bake': runWorkflow(id), 'environment-withdrawn-in-bake': workflowOf('withdrawn') }
    },
  },
  {
    records: ['run-deployment-undo-retried', 'environment-undo-retried'],
    async drive({ scenario }) {
      const { client, data } = scenario.system
      await deploy(scenario, 'stuck', '1')
      const { id } = await scenario.start(deploying({ version: '2', environment: 'stuck', bake: longBake }))
      await watched(scenario, id)
      // The way back needs the image of version 1.
      const images = join(data, 'images/hello')
      renameSync(images, `${images}-away`)
      await fetch(`${scenario.system.edgeOf('stuck')}/sicken`)
      await endAs(scenario, id, 'rollback_blocked')
      renameSync(`${images}-away`, images)
      await client.settleUndo({ id }, { action: 'retry', reason: 'the image is back' })
      await endForGood(scenario, id, 'rolled_back')
      return { 'run-deployment-undo-retried': runWorkflow(id), 'environment-undo-retried': workflowOf('stuck') }
    },
  },
  {
    records: ['environment-recovered'],
    async drive({ scenario, temporal }) {
      await deploy(scenario, 'recovered', '1')
      const { id } = await scenario.start(deploying({ version: '2', environment: 'recovered', bake: longBake }))
      await watched(scenario, id)
      // The run repeats its request, which starts the environment afresh.
      await temporal.workflow.getHandle(workflowOf('recovered')).terminate('from outside')
      await endAs(scenario, id, 'rolled_back')
      return { 'environment-recovered': workflowOf('recovered') }
    },
  },
]

function workflowOf(environment: DriveEnvironment): string {
  return environmentWorkflowId(environment)
}

async function deploy(scenario: Scenario, environment: DriveEnvironment, version: string): Promise<void> {
  const { id } = await scenario.start(deploying({ version, environment }))
  await endAs(scenario, id, 'succeeded')
}

/** Waits until what a person asked for serves. */
async function endOfRequest(scenario: Scenario, environment: DriveEnvironment, kind: Deployment['kind']): Promise<void> {
  const ended = await until(`the ${kind} ends`, async () => {
    const { items } = await scenario.system.client.listDeployments(environment)
    return items.find((one) => one.kind === kind && one.runId === undefined && one.status !== 'running')
  })
  if (ended.status !== 'deployed') throw new Error(`the ${kind} ended ${ended.status}: ${ended.reason ?? ''}`)
}

async function watched(scenario: Scenario, runId: string): Promise<void> {
  await until('the release is watched under traffic', async () =>
    (await scenario.events(runId)).some(({ body }) => body.type === 'deployment' && body.phase === 'verify'),
  )
}
