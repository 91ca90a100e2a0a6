/** Names of the workflows, by what they are about. */
export function runWorkflowId(runId: string): string {
  return `run/${runId}`
}

export function environmentWorkflowId(environment: string): string {
  return `environment/${environment}`
}

/** Brings a run to its end whose own workflow was ended from outside. */
export function recoveryWorkflowId(runId: string): string {
  return `recovery/${runId}`
}
