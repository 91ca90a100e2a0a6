/** The control worker: workflows and bookkeeping activities. It holds nothing; Temporal replays. */
import { Client, isGrpcServiceError, WorkflowNotFoundError } from '@temporalio/client'
import { NativeConnection, Worker } from '@temporalio/worker'
import { createControlActivities, type ControlDeps } from '../src/activities/control.ts'
import { taskQueues } from '../src/contract/task-queues.ts'
import { environmentWorkflowId, runWorkflowId } from '../src/contract/workflow-ids.ts'
import type { Store } from '../src/store/store.ts'

/** gRPC's NOT_FOUND. */
const notFound = 5

export interface ControlOptions {
  store: Store
  temporal: { address: string; namespace: string }
  findRules: ControlDeps['findRules']
  /** The prebuilt workflow bundle. */
  bundle: string
}

export async function start(options: ControlOptions): Promise<{ stop(): Promise<void> }> {
  const { temporal } = options
  const connection = await NativeConnection.connect({ address: temporal.address })
  const worker = await createWorker(options, connection).catch(async (error: unknown) => {
    await connection.close()
    throw error
  })
  const running = worker.run()
  return {
    async stop() {
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
  { store, temporal, findRules, bundle }: ControlOptions,
  connection: NativeConnection,
): Promise<Worker> {
  const client = new Client({ connection, namespace: temporal.namespace })
  await resetStickyQueues(client, store)
  return Worker.create({
    connection,
    namespace: temporal.namespace,
    taskQueue: taskQueues.control,
    workflowBundle: { codePath: bundle },
    activities: createControlActivities({ store, client, findRules }),
    maxCachedWorkflows: 300,
    // The longest wait after a worker has died.
    stickyQueueScheduleToStartTimeout: '1s',
    shutdownGraceTime: '3s',
    shutdownForceTime: '8s',
  })
}

/** Tasks that wait for the memory of our earlier life go back to the shared queue at once. */
async function resetStickyQueues(client: Client, store: Store): Promise<void> {
  const [runs, environments] = await Promise.all([store.runs.listOpen(), store.environments.list()])
  const workflowIds = [...runs.map(({ id }) => runWorkflowId(id)), ...environments.map(({ name }) => environmentWorkflowId(name))]
  for (const workflowId of workflowIds) {
    try {
      const { runId, status } = await client.workflow.getHandle(workflowId).describe()
      // Ended from outside: nothing of it waits for us.
      if (status.name !== 'RUNNING') continue
      await client.workflowService.resetStickyTaskQueue({ namespace: client.options.namespace, execution: { workflowId, runId } })
    } catch (error) {
      // Queued and not yet started, or ended just now: there is nothing to reset.
      if (!isNotFound(error)) throw error
    }
  }
}

function isNotFound(error: unknown): boolean {
  if (error instanceof WorkflowNotFoundError) return true
  if (!isGrpcServiceError(error)) return false
  const code: number = error.code
  return code === notFound
}
