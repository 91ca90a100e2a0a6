/** Finds what was ended inside Temporal and not by itself: runs are recovered, environments started again. */
import {
  WorkflowExecutionAlreadyStartedError,
  WorkflowIdReusePolicy,
  WorkflowNotFoundError,
  type Client,
  type WorkflowExecutionDescription,
} from '@temporalio/client'
import type { Logger } from 'pino'
import type { EnvironmentInput } from '../src/contract/environment-workflow.ts'
import type { RecoveryInput, RunMemo } from '../src/contract/run-workflow.ts'
import { taskQueues, workflowTaskTimeout } from '../src/contract/task-queues.ts'
import { environmentWorkflowId, recoveryWorkflowId, runWorkflowId } from '../src/contract/workflow-ids.ts'
import { messageOf } from '../src/domain/errors.ts'
import { isEndedRun, RunIdentity } from '../src/domain/run.ts'
import { faultPoint } from '../src/process/fault-point.ts'
import { pause } from '../src/server/backoff.ts'
import type { Run, Store } from '../src/store/store.ts'

export interface JanitorOptions {
  store: Store
  client: Client
  /** Names of the configured environments. */
  environments: readonly string[]
  log: Pick<Logger, 'info' | 'warn'>
  /** Between two rounds. */
  intervalMs: number
}

/** Few, beside everything else that Temporal is asked. */
const atOnce = 5

/** The first round is at once. Several may go on, in any processes: what is started twice is started once. */
export function startJanitor(options: JanitorOptions): { stop(): Promise<void> } {
  const stopping = new AbortController()
  const loop = async () => {
    while (!stopping.signal.aborted) {
      await lookAfterAll(options, stopping.signal)
      await pause(options.intervalMs, stopping.signal)
    }
  }
  const done = loop()
  return {
    async stop() {
      stopping.abort()
      await done
    },
  }
}

/** One round. One that cannot be looked after is no reason to leave the others. */
export async function lookAfterAll(options: Omit<JanitorOptions, 'intervalMs'>, signal: AbortSignal): Promise<void> {
  const { store, log, environments } = options
  const attempt = async (job: () => Promise<void>) => {
    try {
      await job()
    } catch (error) {
      if (!signal.aborted) log.warn({ error: messageOf(error) }, 'the janitor could not look; it will look again')
    }
  }
  await attempt(async () => {
    const wanted = new Set(environments)
    const [runs, known] = await Promise.all([store.runs.listStarted(), store.environments.list()])
    const jobs = [
      ...known
        .filter(({ name }) => wanted.has(name))
        .map(
          ({ name }) =>
            () =>
              ensureEnvironment(options, name),
        ),
      ...runs.map((run) => () => ensureRun(options, run)),
    ]
    const work = async () => {
      for (let job = jobs.shift(); job !== undefined && !signal.aborted; job = jobs.shift()) await attempt(job)
    }
    await Promise.all(Array.from({ length: atOnce }, work))
  })
}

/** An open row whose workflow is closed: whatever had happened to it, it cannot end by itself any more. */
async function ensureRun({ store, client, log }: Omit<JanitorOptions, 'intervalMs'>, { id, round }: Run): Promise<void> {
  const workflow = await findWorkflow(client, runWorkflowId(id, round))
  if (workflow?.status.name === 'RUNNING') return
  if (workflow !== undefined && workflow.memo?.['store'] !== store.id) return
  const before = await findWorkflow(client, recoveryWorkflowId(id, round))
  if (before?.status.name === 'RUNNING') return
  // It may have ended by itself while we asked.
  const run = await store.runs.find(id)
  if (run === undefined || isEndedRun(run.status) || run.round !== round) return
  const input: RecoveryInput = { run: RunIdentity.parse(run), round, ...(before === undefined ? {} : { previous: before.runId }) }
  const memo: RunMemo = { store: store.id }
  faultPoint('janitor.recover')
  const isNew = await startOnce(() =>
    client.workflow.start('recovery', {
      taskQueue: taskQueues.control,
      workflowId: recoveryWorkflowId(id, round),
      // One that was itself ended from outside is begun again.
      workflowIdReusePolicy: WorkflowIdReusePolicy.ALLOW_DUPLICATE_FAILED_ONLY,
      workflowTaskTimeout,
      memo: { ...memo },
      args: [input],
    }),
  )
  faultPoint('janitor.recovered')
  const line = { run: id, workflow: workflow?.status.name ?? 'gone', recovery: before?.status.name ?? 'first' }
  if (isNew) log.warn(line, 'a run was ended from outside; it is recovered')
}

/** Its workflow has no end; the new one brings what the old one had begun to its end. */
async function ensureEnvironment({ client, log }: Pick<JanitorOptions, 'client' | 'log'>, name: string): Promise<void> {
  const workflow = await findWorkflow(client, environmentWorkflowId(name))
  if (workflow?.status.name === 'RUNNING') return
  const input: EnvironmentInput = { name }
  const isNew = await startOnce(() =>
    client.workflow.start('environment', {
      taskQueue: taskQueues.control,
      workflowId: environmentWorkflowId(name),
      workflowTaskTimeout,
      args: [input],
    }),
  )
  if (isNew) log.warn({ environment: name, workflow: workflow?.status.name ?? 'gone' }, 'an environment is started again')
}

async function findWorkflow(client: Client, workflowId: string): Promise<WorkflowExecutionDescription | undefined> {
  try {
    return await client.workflow.getHandle(workflowId).describe()
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return undefined
    throw error
  }
}

/** False: another one was quicker. */
async function startOnce(start: () => Promise<unknown>): Promise<boolean> {
  try {
    await start()
    return true
  } catch (error) {
    if (error instanceof WorkflowExecutionAlreadyStartedError) return false
    throw error
  }
}
