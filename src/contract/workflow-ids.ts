/** Names of the workflows, by what they are about. */
export function runWorkflowId(runId: string): string {
  return `run/${runId}`
}

export function environmentWorkflowId(environment: string): string {
  return `environment/${environment}`
}
