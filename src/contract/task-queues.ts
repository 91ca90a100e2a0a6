/** Names of the Temporal task queues: who takes what. */
export const taskQueues = {
  /** Workflows and bookkeeping activities. */
  control: 'control',
  /** Target drivers. */
  deployer: 'deployer',
  /** Openings of workspaces, shared by all runners. */
  openings: 'openings',
} as const

/** The stable queue of one runner: segments, undo commands and closings of the workspaces that lie on it. */
export function runnerQueue(runner: string): string {
  return `steps/${runner}`
}

/**
 * Of every workflow. In less than this its history must be replayed by a worker that does not know it, also on a machine that is busy; and
 * so long stands still what a worker was about when it was killed.
 */
export const workflowTaskTimeout = '5s'
