/** What Temporal remembers: every workflow of the namespace, open or closed, and its history. */
import { Client, Connection, type WorkflowExecutionInfo } from '@temporalio/client'
import type { History } from '@temporalio/common/lib/proto-utils.js'
import { environmentStateQuery } from '../../src/contract/environment-workflow.ts'
import { environmentWorkflowId } from '../../src/contract/workflow-ids.ts'
import type { EnvironmentState } from '../../src/domain/environment.ts'
import { mapSome } from './collections.ts'
import type { World } from './evidence.ts'

export interface Execution {
  workflowId: string
  /** Temporal's own id: a workflow that was continued as new has several of them. */
  executionId: string
  type: string
  /** `RUNNING`, `COMPLETED`, `FAILED`, `TERMINATED`, … */
  status: string
  /** Of an open one: why its workflow tasks are not carried out. */
  stuck?: string
}

export interface TemporalView {
  executions: Execution[]
  fetchHistory(execution: Execution): Promise<History>
  /** Asks the open workflow of that environment. */
  askEnvironment(name: string): Promise<EnvironmentState>
  close(): Promise<void>
}

export function isOpen({ status }: Execution): boolean {
  return status === 'RUNNING'
}

/** The run that a workflow carries out: `run/ID`, `recovery/ID`, or `run/ID/retry-N`. */
export function runIdOf({ workflowId }: Pick<Execution, 'workflowId'>): string | undefined {
  return /^(?:run|recovery)\/([0-9a-f-]{36})(?:\/retry-\d+)?$/.exec(workflowId)?.[1]
}

const atOnce = 8
const answerLimitMs = 20_000

export async function openTemporalView({ address, namespace }: World['temporal']): Promise<TemporalView> {
  const connection = await Connection.connect({ address })
  const client = new Client({ connection, namespace })
  const handleOf = ({ workflowId, executionId }: Execution) => client.workflow.getHandle(workflowId, executionId)

  /** The list may be a little behind; the workflow itself is not. */
  async function look(info: WorkflowExecutionInfo): Promise<Execution> {
    const listed: Execution = {
      workflowId: info.workflowId,
      executionId: info.runId,
      type: info.type,
      status: info.status.name,
    }
    if (!isOpen(listed)) return listed
    const { status, raw } = await handleOf(listed).describe()
    const now: Execution = { ...listed, status: status.name }
    if (!isOpen(now)) return now
    const stuck = findStuck(await handleOf(now).fetchHistory(), raw.pendingWorkflowTask?.attempt ?? 0)
    return stuck === undefined ? now : { ...now, stuck }
  }

  const infos: WorkflowExecutionInfo[] = []
  for await (const info of client.workflow.list()) infos.push(info)
  const executions = await mapSome(infos, atOnce, look)
  return {
    executions,
    fetchHistory: (execution) => handleOf(execution).fetchHistory(),
    askEnvironment: (name) =>
      connection.withDeadline(Date.now() + answerLimitMs, () =>
        client.workflow.getHandle(environmentWorkflowId(name)).query(environmentStateQuery),
      ),
    close: () => connection.close(),
  }
}

/** Of a task that fails again and again Temporal writes the first failure down, counts the rest, and shows the try under way. */
function findStuck({ events }: History, attempt: number): string | undefined {
  const newest = events?.findLast(
    (event) => !event.workflowTaskScheduledEventAttributes && !event.workflowTaskStartedEventAttributes,
  )
  const failed = newest?.workflowTaskFailedEventAttributes
  if (failed) return `its newest event says that a workflow task failed: ${failed.failure?.message ?? 'without a word'}`
  return attempt > 2 ? `its workflow task is tried for the ${String(attempt)}th time` : undefined
}
