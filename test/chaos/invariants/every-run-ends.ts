/** I2: every run has ended or waits for a named thing; Temporal has a workflow for each that goes on, and for no other. */
import { isEndedRun } from '../../../src/domain/run.ts'
import { groupBy } from '../collections.ts'
import { createFinding, type Finding } from '../finding.ts'
import { timesEnded, wasRunEnded } from '../interruptions.ts'
import type { Memory, RunMemory } from '../memory.ts'
import { isOpen, runIdOf, type Execution } from '../temporal-view.ts'

/** How long a run that goes on may be without a workflow: so long is it on its way from one to the next. */
const graceMs = 60_000
/** By a request to Temporal, and by none of ours. */
const endedFromOutside: readonly string[] = ['TERMINATED', 'CANCELLED']

export function everyRunEnds({ runs, executions, ledger, now }: Memory): Finding {
  const finding = createFinding('I2')
  const workflows = groupBy(executions, (execution) => runIdOf(execution) ?? '')
  const known = new Set(runs.map(({ run }) => run.id))
  const ended = groupBy(
    executions.filter(({ status }) => endedFromOutside.includes(status)),
    ({ workflowId }) => workflowId,
  )

  for (const one of runs) {
    finding.look('runs')
    checkRun(one, (workflows.get(one.run.id) ?? []).filter(isOpen))
  }
  for (const execution of executions) {
    finding.look('workflows')
    checkWorkflow(execution)
  }
  for (const [workflowId, all] of ended) {
    const times = timesEnded(ledger, workflowId)
    if (all.length <= times) continue
    const statuses = all.map(({ status }) => status).join(', ')
    finding.blame(
      `workflow ${workflowId}`,
      times === 0 ? `is ${statuses}` : `is ${statuses}, and was ended ${String(times)} times`,
    )
  }
  return finding

  function checkRun({ run, events }: RunMemory, open: Execution[]): void {
    const about = `run ${run.id}`
    const names = open.map(({ workflowId }) => workflowId).join(', ')
    if (isEndedRun(run.status)) {
      if (open.length > 0) finding.blame(about, `ended ${run.status}, and ${names} is still open`)
      return
    }
    if (open.length > 1) finding.blame(about, `is carried out by several workflows at once: ${names}`)
    const newest = events.at(-1)
    const silentMs = now - (newest?.at ?? run.createdAt)
    if (open.length === 0 && silentMs > graceMs) {
      finding.blame(
        about,
        `is ${run.status}, has no open workflow, and was last heard of ${String(Math.round(silentMs / 1_000))} s ago`,
      )
    }
    if (run.status === 'rollback_blocked') {
      const blocked = run.undo.some(({ status }) => status === 'failed')
      if (!blocked) finding.blame(about, `is blocked at no undo: ${JSON.stringify(run.undo)}`)
    } else if (newest?.body.type !== 'waiting') {
      finding.blame(about, `is ${run.status} and waits for nothing; its newest event is ${JSON.stringify(newest?.body)}`)
    }
  }

  function checkWorkflow(execution: Execution): void {
    const about = `workflow ${execution.workflowId}`
    const runId = runIdOf(execution)
    if (runId !== undefined && !known.has(runId)) finding.blame(about, 'the store has no such run')
    if (execution.stuck !== undefined) finding.blame(about, execution.stuck)
    // A run always completes, with its end as result; an environment has no end.
    const isEndedBadly = ['FAILED', 'TIMED_OUT'].includes(execution.status)
    if (isEndedBadly) finding.blame(about, `is ${execution.status}`)
    // One takes the place of a workflow of its run that was ended inside Temporal, or of another one that was.
    const isRecovery = execution.workflowId.startsWith('recovery/')
    if (isRecovery && runId !== undefined && !wasRunEnded(ledger, runId)) {
      finding.blame(about, 'recovers a run whose workflow nobody had ended')
    }
  }
}
