/** What the recorder drives: pieces of a story, each of which leaves workflows whose histories are worth keeping. */
import type { Client } from '@temporalio/client'
import { runWorkflowId } from '../../src/contract/workflow-ids.ts'
import { isEndedRun, type RunEnd, type RunStatus } from '../../src/domain/run.ts'
import { outline, type Scenario } from '../helpers/scenario.ts'
import { until } from '../helpers/until.ts'
import { historyToJson } from './history-json.ts'
import type { PathName } from './recorded-paths.ts'

export interface Stage {
  scenario: Scenario
  temporal: Client
}

/** The workflows that went those ways: the newest of an id unless one is named; or what was fetched already, of a Belay of its own. */
export type Driven = Partial<Record<PathName, string | { workflowId: string; runId: string } | Fetched>>

export interface Fetched {
  history: string
  scenario: Scenario
}

export interface Drive {
  records: readonly PathName[]
  drive(stage: Stage): Promise<Driven>
}

export const runWorkflow = (runId: string): string => runWorkflowId(runId)

/** Once nothing of the workflow is under way. */
export async function fetchHistory(temporal: Client, workflowId: string, runId?: string): Promise<string> {
  const handle = temporal.workflow.getHandle(workflowId, runId)
  await until(`${workflowId} is at rest`, async () => {
    const { raw } = await handle.describe()
    return (raw.pendingActivities ?? []).length === 0 && !raw.pendingWorkflowTask
  })
  return historyToJson(await handle.fetchHistory())
}

/** Waits for the run's end, and throws if it is another one: the path was not taken. */
export async function endAs(scenario: Scenario, runId: string, status: RunStatus): Promise<void> {
  const run = await scenario.end(runId)
  if (run.status === status) return
  throw new Error(`the run ended ${run.status} and not ${status}: ${run.reason ?? ''}; ${outline(run).join(', ')}`)
}

/** The same for a run that was blocked and is settled. */
export async function endForGood(scenario: Scenario, runId: string, status: RunEnd): Promise<void> {
  await until('the run ends for good', async () => isEndedRun((await scenario.system.client.getRun({ id: runId })).status))
  await endAs(scenario, runId, status)
}
