/** Names of the workflows, by what they are about. A run that goes on after its end is carried on by another one: its round. */
export function runWorkflowId(runId: string, round = 0): string {
  return `run/${runId}${suffixOf(round)}`
}

export function environmentWorkflowId(environment: string): string {
  return `environment/${environment}`
}

/** Brings a run to its end whose own workflow was ended from outside. */
export function recoveryWorkflowId(runId: string, round = 0): string {
  return `recovery/${runId}${suffixOf(round)}`
}

function suffixOf(round: number): string {
  return round === 0 ? '' : `/retry-${String(round)}`
}
