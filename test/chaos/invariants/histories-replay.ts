/** I8: every history of ours goes on under the code of today. */
import { Worker, type ReplayResult } from '@temporalio/worker'
import type { History } from '@temporalio/common/lib/proto-utils.js'
import { workflowBundlePath } from '../../../src/embedded/build-workflow-bundle.ts'
import { createFinding, type Finding } from '../finding.ts'
import type { Execution, TemporalView } from '../temporal-view.ts'

/** Types of workflows whose code is in the bundle. */
const types = ['run', 'environment', 'recovery']

export async function historiesReplay({
  executions,
  fetchHistory,
}: Pick<TemporalView, 'executions' | 'fetchHistory'>): Promise<Finding> {
  const finding = createFinding('I8')
  const ours = executions.filter(({ type }) => types.includes(type))
  const options = { workflowBundle: { codePath: workflowBundlePath() } }
  for await (const result of Worker.runReplayHistories(options, histories(ours, fetchHistory))) {
    finding.look(`${nameOf(result)} histories`)
    if (result.error !== undefined)
      finding.blame(`history of ${result.workflowId} (${result.runId})`, `does not replay: ${result.error.message}`)
  }
  if (finding.looked['I8'] !== ours.length) {
    finding.blame('the replay', `looked at ${String(finding.looked['I8'])} of ${String(ours.length)} histories`)
  }
  return finding
}

async function* histories(
  executions: readonly Execution[],
  fetchHistory: TemporalView['fetchHistory'],
): AsyncGenerator<{ workflowId: string; history: History }> {
  for (const execution of executions) yield { workflowId: execution.workflowId, history: await fetchHistory(execution) }
}

function nameOf({ workflowId }: ReplayResult): string {
  return workflowId.split('/')[0] ?? workflowId
}
