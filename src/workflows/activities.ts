/** The activities as workflows call them: which queue, which limits, what is tried again. Nothing is left unset. */
import { ActivityCancellationType, proxyActivities, proxyLocalActivities } from '@temporalio/workflow'
import type { ControlActivities, DeployerActivities, RunnerActivities } from '../contract/activities.ts'
import { runnerQueue, taskQueues } from '../contract/task-queues.ts'
import { inTurn } from './in-turn.ts'

/** Silence of a worker for this long means that it is gone. Workers heartbeat every second, throttled to 2 s. */
const heartbeatTimeout = '10s'
const cancellationType = ActivityCancellationType.WAIT_CANCELLATION_COMPLETED

/** Bookkeeping that nothing waits for: tried for as long as it takes. */
export const bookkeeping = proxyActivities<ControlActivities>({
  taskQueue: taskQueues.control,
  startToCloseTimeout: '10s',
  cancellationType,
  retry: { initialInterval: '200ms', backoffCoefficient: 2, maximumInterval: '5s' },
})

/** Asks a workflow that is closed, which is replayed for that. */
export const reading = proxyActivities<Pick<ControlActivities, 'readRemains'>>({
  taskQueue: taskQueues.control,
  startToCloseTimeout: '30s',
  cancellationType,
  retry: { initialInterval: '500ms', backoffCoefficient: 2, maximumInterval: '5s' },
})

/** Short bookkeeping that the workflow's next decision needs; in the worker's own process. */
export const inline = inTurn(
  proxyLocalActivities<
    Pick<
      ControlActivities,
      | 'compileRun'
      | 'loadResume'
      | 'isRunnerActive'
      | 'findRunner'
      | 'noteHolder'
      | 'takeFence'
      | 'recordEnvironment'
      | 'findFreeze'
    >
  >({
    startToCloseTimeout: '5s',
    cancellationType,
    retry: { initialInterval: '200ms', backoffCoefficient: 2, maximumInterval: '5s' },
  }),
)

export const openings = proxyActivities<Pick<RunnerActivities, 'openWorkspace'>>({
  taskQueue: taskQueues.openings,
  startToCloseTimeout: '30m',
  heartbeatTimeout,
  cancellationType,
  retry: { initialInterval: '1s', backoffCoefficient: 2, maximumInterval: '30s', maximumAttempts: 10 },
})

/** A segment not started within this time: its runner is asked after. */
export const segmentStartTimeoutMs = 15_000

/** Segments of one runner: each is sent once, and what became of it is decided by the workflow. */
export function segmentsOn(runner: string, limitMs: number): Pick<RunnerActivities, 'runSegment'> {
  return proxyActivities<Pick<RunnerActivities, 'runSegment'>>({
    taskQueue: runnerQueue(runner),
    scheduleToStartTimeout: segmentStartTimeoutMs,
    startToCloseTimeout: limitMs,
    heartbeatTimeout,
    cancellationType,
    retry: { maximumAttempts: 1 },
  })
}

/** Undo and `finally` scripts: sent as often as it takes; one that is not started in time has its runner asked after. */
export function scriptsOn(runner: string, limitMs: number, isAskedAfter: boolean): Pick<RunnerActivities, 'runScript'> {
  return proxyActivities<Pick<RunnerActivities, 'runScript'>>({
    taskQueue: runnerQueue(runner),
    ...(isAskedAfter ? { scheduleToStartTimeout: segmentStartTimeoutMs } : {}),
    startToCloseTimeout: limitMs,
    heartbeatTimeout,
    cancellationType,
    retry: { maximumAttempts: 1 },
  })
}

/** Tidying: what is missed is swept by the runner itself. */
export function tidyingOn(runner: string): Pick<RunnerActivities, 'closeWorkspace'> {
  return proxyActivities<Pick<RunnerActivities, 'closeWorkspace'>>({
    taskQueue: runnerQueue(runner),
    scheduleToCloseTimeout: '60s',
    startToCloseTimeout: '30s',
    cancellationType,
    retry: { maximumAttempts: 3 },
  })
}

/** Phases of a deployment on the way forward: bounded. */
export function deployer(limitMs: number): DeployerActivities {
  return proxyActivities<DeployerActivities>({
    taskQueue: taskQueues.deployer,
    startToCloseTimeout: limitMs,
    heartbeatTimeout,
    cancellationType,
    retry: { initialInterval: '500ms', backoffCoefficient: 2, maximumInterval: '10s', maximumAttempts: 8 },
  })
}

/** What is good to know, and need not be waited for. */
export const deployerBriefly = proxyActivities<Pick<DeployerActivities, 'observe'>>({
  taskQueue: taskQueues.deployer,
  scheduleToCloseTimeout: '15s',
  startToCloseTimeout: '10s',
  heartbeatTimeout,
  cancellationType,
  retry: { initialInterval: '500ms', backoffCoefficient: 2, maximumInterval: '10s', maximumAttempts: 3 },
})

/** Phases of a deployment on the way back: tried one by one, since `insist` counts. */
export function deployerOnce(limitMs: number): DeployerActivities {
  return proxyActivities<DeployerActivities>({
    taskQueue: taskQueues.deployer,
    startToCloseTimeout: limitMs,
    heartbeatTimeout,
    cancellationType,
    retry: { maximumAttempts: 1 },
  })
}
