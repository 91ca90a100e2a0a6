/** Asks Temporal whether it hears from a worker of this process: what the worker itself believes is no proof. */
import { hostname } from 'node:os'
import { Connection } from '@temporalio/client'
import { runnerQueue, taskQueues } from '../src/contract/task-queues.ts'
import { messageOf } from '../src/domain/errors.ts'

export type PollingWorker = { role: 'control' | 'deployer' } | { role: 'runner'; name: string }

export interface PollingWatch {
  /** What is wrong, in one sentence; undefined if Temporal answers and this process has asked it for work lately. Never throws. */
  findTrouble(): Promise<string | undefined>
  close(): Promise<void>
}

/** Temporal holds a request for work open for a minute at most, and then is asked again. */
const silenceMs = 90_000
const answerMs = 3_000
/** As temporal.api.enums.v1.TaskQueueType has them. */
const queueTypes = { workflow: 1, activity: 2 } as const

/** Only what Temporal heard since this process was started counts: an earlier one may have had the same name. */
export function watchPolling(
  worker: PollingWorker,
  temporal: { address: string; namespace: string },
  since = Date.now() - process.uptime() * 1000,
): PollingWatch {
  const connection = Connection.lazy({ address: temporal.address })
  const { name, type } = queueOf(worker)
  // What the SDK calls a worker that was given no name.
  const identity = `${String(process.pid)}@${hostname()}`

  async function lastHeard(): Promise<number> {
    const { pollers } = await connection.withDeadline(Date.now() + answerMs, () =>
      connection.workflowService.describeTaskQueue({
        namespace: temporal.namespace,
        taskQueue: { name },
        taskQueueType: queueTypes[type],
      }),
    )
    const ours = (pollers ?? []).filter((poller) => poller.identity === identity)
    return Math.max(0, ...ours.map(({ lastAccessTime: at }) => Number(at?.seconds ?? 0) * 1000 + (at?.nanos ?? 0) / 1e6))
  }

  return {
    async findTrouble() {
      try {
        const heard = await lastHeard()
        if (heard >= since && heard >= Date.now() - silenceMs) return undefined
        return `Temporal at ${temporal.address} does not hear from this worker on the queue ${name}`
      } catch (error) {
        return `Temporal at ${temporal.address} does not answer: ${messageOf(error)}`
      }
    },
    close: () => connection.close(),
  }
}

/** Of several queues the one that is asked for work whatever the worker is busy with. */
function queueOf(worker: PollingWorker): { name: string; type: keyof typeof queueTypes } {
  switch (worker.role) {
    case 'control':
      return { name: taskQueues.control, type: 'workflow' }
    case 'deployer':
      return { name: taskQueues.deployer, type: 'activity' }
    case 'runner':
      return { name: runnerQueue(worker.name), type: 'activity' }
  }
}
