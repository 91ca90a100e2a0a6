/** The control worker: workflows and bookkeeping activities. It holds nothing; Temporal replays. */
import { Client } from '@temporalio/client'
import type { DataConverter } from '@temporalio/common'
import { NativeConnection, Worker } from '@temporalio/worker'
import { createControlActivities, type ControlDeps } from '../src/activities/control.ts'
import { taskQueues } from '../src/contract/task-queues.ts'
import { environmentWorkflowId, recoveryWorkflowId, runWorkflowId } from '../src/contract/workflow-ids.ts'
import { createDataConverter } from '../src/payloads/data-converter.ts'
import type { Store } from '../src/store/store.ts'
import { startJanitor, type JanitorOptions } from './janitor.ts'
import { resetStickyQueues } from './reset-sticky-queues.ts'

/**
 * Few, because a workflow task has 2 s from when it is taken: what is taken and not got through in time is done again, and
 * under a flood that is all that is done. What is not taken waits at Temporal, or goes to another control.
 */
const atOnce = {
  maxConcurrentWorkflowTaskExecutions: 4,
  maxConcurrentLocalActivityExecutions: 4,
  maxConcurrentActivityTaskExecutions: 10,
} as const

export interface ControlOptions {
  store: Store
  temporal: { address: string; namespace: string }
  findRules: ControlDeps['findRules']
  findRepository: ControlDeps['findRepository']
  /** Names of the configured environments. */
  environments: readonly string[]
  /** The prebuilt workflow bundle. */
  bundle: string
  log: JanitorOptions['log']
  /** Between two rounds of the janitor; default: 30 s. */
  janitorIntervalMs?: number
  /** Of what goes through Temporal; absent: nothing is encrypted. */
  payloadKeys?: readonly string[] | undefined
}

export async function start(options: ControlOptions): Promise<{ stop(): Promise<void> }> {
  const { temporal } = options
  const connection = await NativeConnection.connect({ address: temporal.address })
  const dataConverter = createDataConverter(options.payloadKeys ?? [])
  const client = new Client({ connection, namespace: temporal.namespace, dataConverter })
  const worker = await createWorker(options, { connection, client, dataConverter }).catch(async (error: unknown) => {
    await connection.close()
    throw error
  })
  const running = worker.run()
  const janitor = startJanitor({ ...options, client, intervalMs: options.janitorIntervalMs ?? 30_000 })
  return {
    async stop() {
      await janitor.stop()
      if (worker.getState() === 'RUNNING') worker.shutdown()
      try {
        await running
      } finally {
        await connection.close()
      }
    },
  }
}

async function createWorker(
  { store, temporal, findRules, findRepository, bundle }: ControlOptions,
  { connection, client, dataConverter }: { connection: NativeConnection; client: Client; dataConverter: DataConverter },
): Promise<Worker> {
  await resetStickyQueues(client, { workflowIds: await listWorkflows(store) })
  return Worker.create({
    connection,
    dataConverter,
    namespace: temporal.namespace,
    taskQueue: taskQueues.control,
    workflowBundle: { codePath: bundle },
    activities: createControlActivities({ store, client, findRules, findRepository }),
    maxCachedWorkflows: 300,
    ...atOnce,
    // The longest wait after a worker has died.
    stickyQueueScheduleToStartTimeout: '1s',
    shutdownGraceTime: '3s',
    shutdownForceTime: '8s',
  })
}

async function listWorkflows(store: Store): Promise<string[]> {
  const [runs, environments] = await Promise.all([store.runs.listOpen(), store.environments.list()])
  return [
    ...environments.map(({ name }) => environmentWorkflowId(name)),
    ...runs.map(({ id, round }) => runWorkflowId(id, round)),
    ...runs.map(({ id, round }) => recoveryWorkflowId(id, round)),
  ]
}
