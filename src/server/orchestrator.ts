/** What the server says to Temporal. The connection is made at the first call, and again after each loss. */
import {
  Client,
  Connection,
  WithStartWorkflowOperation,
  WorkflowExecutionAlreadyStartedError,
  WorkflowIdReusePolicy,
  WorkflowNotFoundError,
  type WorkflowHandle,
} from '@temporalio/client'
import type { DataConverter, UpdateDefinition } from '@temporalio/common'
import {
  blockUpdate,
  freezeUpdate,
  personUpdate,
  type BlockChange,
  type BlockChanged,
  type EnvironmentInput,
  type FreezeChange,
  type FreezeChanged,
  type PersonAccepted,
} from '../contract/environment-workflow.ts'
import { cancelSignal, settleUndoUpdate, type CancelRequest, type RunInput, type RunMemo } from '../contract/run-workflow.ts'
import { taskQueues, workflowTaskTimeout } from '../contract/task-queues.ts'
import { environmentWorkflowId, recoveryWorkflowId, runWorkflowId } from '../contract/workflow-ids.ts'
import type { RollbackRequest } from '../domain/environment.ts'
import type { SettledUndo, SettleUndo } from '../domain/settle-undo.ts'
import { fromTemporal } from './temporal-errors.ts'

export interface OrchestratorOptions {
  address: string
  namespace: string
  /** Of our store: tells our workflows from a stranger's. */
  storeId: string
  dataConverter?: DataConverter
  /** Throws while nothing may be said to Temporal. */
  mayCall?: () => Promise<void>
}

/** A run, and which time it goes on. */
export interface RunPlace {
  id: string
  round: number
}

/** All calls throw `unavailable` (retryable) if Temporal does not answer in time; each may be repeated. */
export interface Orchestrator {
  /** Twice is once. `foreign`: a workflow of that id is there which is not ours. */
  startRun(input: RunInput): Promise<'started' | 'foreign'>
  /** Also of one that is being recovered. A run that has ended, or is not there, needs no cancel. */
  cancelRun(run: RunPlace, request: CancelRequest): Promise<void>
  /** What will happen to the undo that the run is blocked at; the same id again is the same one. Undefined: no workflow goes on. */
  settleUndo(run: RunPlace, request: SettleUndo): Promise<SettledUndo | undefined>
  /** Queues a person's rollback or deployment at the environment, whose answer it returns; the same id again is the same one. */
  rollBack(request: RollbackRequest): Promise<PersonAccepted>
  /** Adds or takes away a freeze window; the same id again is the same one. */
  freeze(change: FreezeChange): Promise<FreezeChanged>
  /** Blocks or unblocks a release; the same id again is the same one. */
  block(change: BlockChange): Promise<BlockChanged>
  ping(): Promise<void>
  close(): Promise<void>
}

const deadlinesMs = { ping: 2_000, command: 5_000, person: 10_000 } as const

export function createOrchestrator(options: OrchestratorOptions): Orchestrator {
  const { address, namespace, storeId, dataConverter, mayCall } = options
  const connection = Connection.lazy({ address })
  const client = new Client({ connection, namespace, ...(dataConverter === undefined ? {} : { dataConverter }) })

  async function within<T>(deadlineMs: number, call: () => Promise<T>): Promise<T> {
    await mayCall?.()
    try {
      return await connection.withDeadline(Date.now() + deadlineMs, call)
    } catch (error) {
      throw fromTemporal(error)
    }
  }

  /** The run's own workflow or, if that is closed, the one that recovers it. Undefined: neither is open. */
  async function askOpen<T>({ id, round }: RunPlace, ask: (handle: WorkflowHandle) => Promise<T>): Promise<T | undefined> {
    for (const workflowId of [runWorkflowId(id, round), recoveryWorkflowId(id, round)]) {
      try {
        return await ask(client.workflow.getHandle(workflowId))
      } catch (error) {
        // Not by gRPC's "not found" alone: of a namespace that is missing that says nothing of a workflow.
        if (!(error instanceof WorkflowNotFoundError)) throw error
      }
    }
    return undefined
  }

  async function isOurs(workflowId: string): Promise<boolean> {
    const { memo } = await client.workflow.getHandle(workflowId).describe()
    return memo?.['store'] === storeId
  }

  /** Starts the environment's workflow if it does not run. */
  function askEnvironment<A, R extends { id: string; environment: string }>(
    update: UpdateDefinition<A, [R]>,
    request: R,
  ): Promise<A> {
    return within(deadlinesMs.person, async () => {
      const input: EnvironmentInput = { name: request.environment }
      return await client.workflow.executeUpdateWithStart(update, {
        args: [request],
        updateId: request.id,
        startWorkflowOperation: new WithStartWorkflowOperation('environment', {
          taskQueue: taskQueues.control,
          workflowId: environmentWorkflowId(request.environment),
          workflowIdConflictPolicy: 'USE_EXISTING',
          workflowTaskTimeout,
          args: [input],
        }),
      })
    })
  }

  return {
    startRun: (input) =>
      within(deadlinesMs.command, async () => {
        const memo: RunMemo = { store: storeId }
        const workflowId = runWorkflowId(input.run.id, input.resume?.round)
        try {
          await client.workflow.start('run', {
            taskQueue: taskQueues.control,
            workflowId,
            workflowIdReusePolicy: WorkflowIdReusePolicy.REJECT_DUPLICATE,
            workflowTaskTimeout,
            memo: { ...memo },
            args: [input],
          })
          return 'started'
        } catch (error) {
          if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error
          return (await isOurs(workflowId)) ? 'started' : 'foreign'
        }
      }),

    cancelRun: (run, request) =>
      within(deadlinesMs.command, async () => {
        await askOpen(run, async (handle) => {
          await handle.signal(cancelSignal, request)
        })
      }),

    settleUndo: (run, request) =>
      within(deadlinesMs.person, () =>
        askOpen(run, (handle) => handle.executeUpdate(settleUndoUpdate, { args: [request], updateId: request.id })),
      ),

    rollBack: (request) => askEnvironment(personUpdate, request),
    freeze: (change) => askEnvironment(freezeUpdate, change),
    block: (change) => askEnvironment(blockUpdate, change),

    ping: () => within(deadlinesMs.ping, async () => void (await connection.workflowService.getSystemInfo({}))),
    close: () => connection.close(),
  }
}
