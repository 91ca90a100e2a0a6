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
