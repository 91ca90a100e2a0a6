// Long because all stories of deployments share their environments and the ways to wait for them.
/** Drives deployments; each story has an environment of its own, so that its history begins and ends with it. */
import { randomUUID } from 'node:crypto'
import { renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { environmentWorkflowId } from '../../src/contract/workflow-ids.ts'
import type { Deployment } from '../../src/domain/environment.ts'
import { deploying, type Scenario } from '../helpers/scenario.ts'
import { until } from '../helpers/until.ts'
import { endAs, endForGood, runWorkflow, type Drive } from './drive.ts'

export const driveEnvironments = [
  'first',
  'bad',
  'back',
  'quiet',
  'gone',
  'chosen',
  'broken',
  'withdrawn',
  'recovered',
  'stuck',
  'ended',
  'east',
  'west',
  'migrated',
  'several',
  'parked',
  'provisional',
  'settled',
  'late',
  'overruled',
  'unwanted',
] as const
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
    records: ['environment-answers-what-is-gone'],
    async drive({ scenario }) {
      const { client } = scenario.system
      await deploy(scenario, 'gone', '1')
      const after = '  late: { commands: [echo begun > NOTES/gone, "until [ -e NOTES/gone-on ]; do sleep 0.1; done", exit 1] }\n'
      const { id } = await scenario.start(deploying({ version: '2', environment: 'gone', after }))
      await scenario.noted('gone')
      await client.rollback('gone', { reason: 'version 1 was better' }, randomUUID())
      await endOfRequest(scenario, 'gone', 'rollback')
      writeFileSync(join(scenario.notes, 'gone-on'), '')
      await endAs(scenario, id, 'rolled_back')
      return { 'environment-answers-what-is-gone': workflowOf('gone') }
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
    records: ['run-deploy-timed-out-in-queue'],
    async drive({ scenario }) {
      const first = await scenario.start(deploying({ version: '1', environment: 'late', bake: longBake }))
      await watched(scenario, first.id)
      const after = '    timeout: 10s\n    retry: { max: 1, on: [timed_out], backoff: 100ms }\n'
      const { id } = await scenario.start(deploying({ version: '2', environment: 'late', after }))
      await until('the first attempt is over', async () =>
        (await scenario.system.client.getRun({ id })).steps.some(({ status }) => status === 'timed_out'),
      )
      await scenario.system.client.cancelRun(first, { reason: 'in the way' })
      await endAs(scenario, id, 'succeeded')
      return { 'run-deploy-timed-out-in-queue': runWorkflow(id) }
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
    records: ['run-group-taken-back'],
    async drive({ scenario }) {
      const pipeline = deploying({ version: '1', environment: 'GROUP', bake: '2s' })
      const { id } = await scenario.start(pipeline.replace('environment: GROUP', 'environments: [east, west]\n      at_once: 1'))
      await until('the second one is watched', async () =>
        (await scenario.events(id)).some(
          ({ body }) => body.type === 'deployment' && body.environment === 'west' && body.phase === 'verify',
        ),
      )
      await fetch(`${scenario.system.edgeOf('west')}/sicken`)
      await endAs(scenario, id, 'rolled_back')
      return { 'run-group-taken-back': runWorkflow(id) }
    },
  },
  {
    records: ['run-kept-and-taken-back'],
    async drive({ scenario }) {
      const go = join(scenario.notes, 'go')
      const after = `  hold: { commands: ['echo held > NOTES/held', 'while [ ! -e ${go} ]; do sleep 0.1; done'] }\n`
      const pipeline = deploying({ version: '2', environment: 'GROUP', after })
      const { id } = await scenario.start(pipeline.replace('environment: GROUP', 'environments: [east, west]'))
      await scenario.noted('held')
      const later = deploying({ version: '3', environment: 'west', after: "  late: { commands: ['false'] }\n" })
      await endAs(scenario, (await scenario.start(later)).id, 'rolled_back')
      writeFileSync(go, '')
      await endAs(scenario, id, 'rolled_back')
      return { 'run-kept-and-taken-back': runWorkflow(id) }
    },
  },
  {
    records: ['run-settled'],
    async drive({ scenario }) {
      const after = `  accept: { commands: ["true"], settle: true }
  announce: { commands: [echo told], undo: { commands: [echo taken back] } }
  look: { commands: ["false"] }
`
      const { id } = await scenario.start(deploying({ version: '1', environment: 'settled', after }))
      await endAs(scenario, id, 'rolled_back')
      return { 'run-settled': runWorkflow(id) }
    },
  },
  {
    records: ['environment-migration-taken-down'],
    async drive({ scenario }) {
      await deploy(scenario, 'migrated', '1', migrating)
      const { id } = await scenario.start(deploying({ version: '2', environment: 'migrated', bake: longBake, after: migrating }))
      await watched(scenario, id)
      await fetch(`${scenario.system.edgeOf('migrated')}/sicken`)
      await endAs(scenario, id, 'rolled_back')
      return { 'environment-migration-taken-down': workflowOf('migrated') }
    },
  },
  {
    records: ['environment-migrations-rolled-back'],
    async drive({ scenario }) {
      const { client } = scenario.system
      for (const version of ['1', '2']) await deploy(scenario, 'several', version, migrating)
      const { history } = await client.getEnvironment('several')
      const [first, second] = history.map(({ release }) => String(release.number))
      for (const to of [first ?? '', second ?? '']) {
        const { requestId } = await client.rollback('several', { to, reason: `to ${to}` }, randomUUID())
        await endOfRequest(scenario, 'several', 'rollback', requestId)
      }
      return { 'environment-migrations-rolled-back': workflowOf('several') }
    },
  },
  {
    records: ['environment-migration-parked'],
    async drive({ scenario }) {
      await deploy(scenario, 'parked', '1')
      const after = '      migrate: { up: [node, -e, "0"] }\n'
      const { id } = await scenario.start(deploying({ version: '2', environment: 'parked', bake: longBake, after }))
      await watched(scenario, id)
      await fetch(`${scenario.system.edgeOf('parked')}/sicken`)
      await endAs(scenario, id, 'rollback_blocked')
      await scenario.system.client.settleUndo({ id }, { action: 'retry', reason: 'the data may stay' })
      await endForGood(scenario, id, 'rolled_back')
      return { 'environment-migration-parked': workflowOf('parked') }
    },
  },
  {
    records: ['environment-recovered-onto-provisional'],
    async drive({ scenario, temporal }) {
      const go = join(scenario.notes, 'settle')
      const after = `  hold: { commands: ['echo held > NOTES/unsettled', 'while [ ! -e ${go} ]; do sleep 0.1; done'] }\n`
      const first = await scenario.start(deploying({ version: '1', environment: 'provisional', after }))
      await scenario.noted('unsettled')
      const entrypoint = '[node, -e, "setInterval(() => {}, 1000)"]'
      const mute = deploying({ version: '2', environment: 'provisional', entrypoint }).replace('timeout: 5s', 'timeout: 60s')
      const { id } = await scenario.start(mute)
      await until('the release is checked', async () =>
        (await scenario.events(id)).some(({ body }) => body.type === 'deployment' && body.phase === 'check'),
      )
      await temporal.workflow.getHandle(workflowOf('provisional')).terminate('from outside')
      await endAs(scenario, id, 'rolled_back')
      writeFileSync(go, '')
      await endAs(scenario, first.id, 'succeeded')
      return { 'environment-recovered-onto-provisional': workflowOf('provisional') }
    },
  },
  {
    records: ['environment-recovered', 'run-asked-to-say-again'],
    async drive({ scenario, temporal }) {
      await deploy(scenario, 'recovered', '1')
      const { id } = await scenario.start(deploying({ version: '2', environment: 'recovered', bake: longBake }))
      await watched(scenario, id)
      // The run repeats its request, which starts the environment afresh.
      await temporal.workflow.getHandle(workflowOf('recovered')).terminate('from outside')
      await endAs(scenario, id, 'rolled_back')
      return { 'environment-recovered': workflowOf('recovered'), 'run-asked-to-say-again': runWorkflow(id) }
    },
  },
  {
    records: ['run-overruled'],
    async drive({ scenario }) {
      await deploy(scenario, 'overruled', '1')
      const after = '    retry: { max: 1, on: [failed, errored], backoff: 1s }\n'
      const { id } = await scenario.start(deploying({ version: '2', environment: 'overruled', bake: longBake, after }))
      await watched(scenario, id)
      await scenario.system.client.rollback('overruled', { reason: 'it smells' }, randomUUID())
      await endAs(scenario, id, 'rolled_back')
      return { 'run-overruled': runWorkflow(id) }
    },
  },
  {
    records: ['run-group-cut-off'],
    async drive({ scenario }) {
      const after = '    retry: { max: 1, on: [failed], backoff: 20s }\n'
      const pipeline = deploying({ version: '1', environment: 'GROUP', bake: '2s', after })
      const older = await scenario.start(pipeline.replace('environment: GROUP', 'environments: [east, west]\n      at_once: 1'))
      await until('the second one is watched', async () =>
        (await scenario.events(older.id)).some(
          ({ body }) => body.type === 'deployment' && body.environment === 'west' && body.phase === 'verify',
        ),
      )
      await fetch(`${scenario.system.edgeOf('west')}/sicken`)
      await until('it has failed', async () =>
        (await scenario.system.client.getRun(older)).steps.some(({ step, status }) => step === 'ship' && status === 'failed'),
      )
      const newer = await scenario.start(deploying({ version: '2', environment: 'west' }), { branch: older.branch })
      await endAs(scenario, newer.id, 'succeeded')
      await endAs(scenario, older.id, 'rolled_back')
      return { 'run-group-cut-off': runWorkflow(older.id) }
    },
  },
  {
    records: ['environment-back-to-a-level'],
    async drive({ scenario }) {
      const { client } = scenario.system
      await deploy(scenario, 'unwanted', '1', migrating)
      const first = String((await client.getEnvironment('unwanted')).current?.release.number)
      await client.block('unwanted', { release: first }, randomUUID())
      const { id } = await scenario.start(deploying({ version: '2', environment: 'unwanted', bake: longBake, after: migrating }))
      await watched(scenario, id)
      await fetch(`${scenario.system.edgeOf('unwanted')}/sicken`)
      await endAs(scenario, id, 'rolled_back')
      return { 'environment-back-to-a-level': workflowOf('unwanted') }
    },
  },
]

function workflowOf(environment: DriveEnvironment): string {
  return environmentWorkflowId(environment)
}

const migrating = '      migrate: { up: [node, -e, "0"], down: [node, -e, "0"] }\n'

async function deploy(scenario: Scenario, environment: DriveEnvironment, version: string, after = ''): Promise<void> {
  const { id } = await scenario.start(deploying({ version, environment, after }))
  await endAs(scenario, id, 'succeeded')
}

/** Waits until what a person asked for serves. */
async function endOfRequest(
  scenario: Scenario,
  environment: DriveEnvironment,
  kind: Deployment['kind'],
  requestId?: string,
): Promise<void> {
  const ended = await until(`the ${kind} ends`, async () => {
    const { items } = await scenario.system.client.listDeployments(environment)
    const isMeant = (one: Deployment): boolean => requestId === undefined || one.requestId === requestId
    return items.find((one) => one.kind === kind && one.runId === undefined && one.status !== 'running' && isMeant(one))
  })
  if (ended.status !== 'deployed') throw new Error(`the ${kind} ended ${ended.status}: ${ended.reason ?? ''}`)
}

async function watched(scenario: Scenario, runId: string): Promise<void> {
  await until('the release is watched under traffic', async () =>
    (await scenario.events(runId)).some(({ body }) => body.type === 'deployment' && body.phase === 'verify'),
  )
}
