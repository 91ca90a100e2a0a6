/** What is left of a run that was ended from outside: asked of its closed workflow, which is replayed for it, or of the store. */
import { Context } from '@temporalio/activity'
import { WorkflowNotFoundError, type Client, type WorkflowExecutionDescription } from '@temporalio/client'
import type { ReadRemains } from '../contract/activities.ts'
import { runRemainsQuery, type RecoveryInput, type RunRemains, type RunRemainsAnswer } from '../contract/run-workflow.ts'
import { recoveryWorkflowId, runWorkflowId } from '../contract/workflow-ids.ts'
import { BelayError } from '../domain/errors.ts'
import { mergeOutcomes } from '../domain/outcome.ts'
import type { Plan } from '../domain/plan.ts'
import { isEndedStep } from '../domain/step.ts'
import type { Run, StepRow, Store } from '../store/store.ts'
import { guessRemains, outcomesOf, type GuessDeps, type Rows } from './guess-remains.ts'
import { resumeRows } from './load-resume.ts'

export interface RemainsDeps extends GuessDeps {
  client: Client
}

const answerMs = 10_000
/** After so many tries a workflow that does not answer counts as one that cannot: its history is gone, or does not replay. */
const mostTries = 6

/** `conflict`: its workflow, or an earlier recovery, goes on, or the run is in another round: there is nothing to recover. */
export async function readRemains(deps: RemainsDeps, input: RecoveryInput): Promise<ReadRemains> {
  const { run, round = 0 } = input
  const { store, client } = deps
  const row = await store.runs.find(run.id)
  if (row === undefined) throw new BelayError({ code: 'not_found', message: `there is no run ${run.id}` })
  if (row.round !== round) throw goesOn(`run ${String(row.number)} has gone on since`)
  const closed = await describeEnd(client, input)
  const [asked, all] = await Promise.all([askWorkflows(client, input), store.runs.steps(run.id)])
  const planDigest = asked?.remains.planDigest ?? row.planDigest
  const plan = planDigest === undefined ? undefined : await store.runs.findPlan(planDigest)
  const known = { plan, rows: all }
  const { from, remains } =
    asked === undefined
      ? { from: 'store' as const, remains: await guessRemains(deps, row, known) }
      : { from: asked.from, remains: await withEarlier(store, asked.remains, { ...known, undo: row.undo }) }
  const rows = all.filter((one) => !isOfEarlierFinally(one, { plan, remains }))
  const outcomes = mergeOutcomes(remains.outcomes, outcomesOf(rows))
  const workspace = { ...remains.workspace, epoch: Math.max(remains.workspace.epoch, row.epoch) }
  return {
    ...closed,
    from,
    remains: { ...remains, outcomes, workspace, ...(planDigest === undefined ? {} : { planDigest }) },
    ...(plan === undefined ? {} : { plan }),
    unended: rows
      .filter(({ status }) => !isEndedStep(status))
      .filter(({ step, attempt }) => !outcomes.some((outcome) => outcome.step === step && outcome.attempt === attempt))
      .map(({ step, attempt, epoch }) => ({ step, attempt, epoch })),
  }
}

/** One that went on after an end, and was ended before it knew with what: none of its steps had begun. */
async function withEarlier(
  store: Store,
  remains: RunRemains,
  { plan, rows, undo }: Rows & Pick<Run, 'undo'>,
): Promise<RunRemains> {
  const { resume } = remains.input
  if (plan === undefined || resume === undefined || remains.planDigest !== undefined) return remains
  const outcomes = await resumeRows(store, { plan, rows, undo, resume })
  return { ...remains, outcomes, earlier: outcomes.length }
}

/** `finally` runs once in each round, always under an epoch of its own. */
function isOfEarlierFinally(
  { step, epoch }: StepRow,
  { plan, remains }: { plan: Plan | undefined; remains: RunRemains },
): boolean {
  const { resume } = remains.input
  return resume !== undefined && epoch <= resume.epoch && plan?.finally.some(({ id }) => id === step) === true
}

/** The newest recovery that had come far enough to know, else the run itself. */
async function askWorkflows(
  client: Client,
  { run, round, previous }: RecoveryInput,
): Promise<Pick<ReadRemains, 'remains' | 'from'> | undefined> {
  for (let before = previous; before !== undefined;) {
    const answer = await ask(client, recoveryWorkflowId(run.id, round), before)
    if (answer?.type === 'remains') return { from: 'recovery', remains: answer.remains }
    before = answer?.previous
  }
  const answer = await ask(client, runWorkflowId(run.id, round))
  return answer?.type === 'remains' ? { from: 'run', remains: answer.remains } : undefined
}

async function ask(client: Client, workflowId: string, execution?: string): Promise<RunRemainsAnswer | undefined> {
  try {
    return await client.withDeadline(Date.now() + answerMs, () =>
      client.workflow.getHandle(workflowId, execution).query(runRemainsQuery),
    )
  } catch (error) {
    if (error instanceof WorkflowNotFoundError || Context.current().info.attempt >= mostTries) return undefined
    throw error
  }
}

const words: Partial<Record<WorkflowExecutionDescription['status']['name'], string>> = {
  TERMINATED: 'terminated',
  TIMED_OUT: 'timed out',
  FAILED: 'failed',
  CANCELLED: 'cancelled',
  COMPLETED: 'completed',
}
const longestReason = 200
/** As temporal.api.enums.v1.HistoryEventFilterType has it. */
const closeEvent = 2

async function describeEnd(
  client: Client,
  { run, round, previous }: RecoveryInput,
): Promise<Pick<ReadRemains, 'how' | 'closedAt'>> {
  const [own, recovery] = await Promise.all([
    describeClosed(client, runWorkflowId(run.id, round)),
    previous === undefined ? undefined : describeClosed(client, recoveryWorkflowId(run.id, round), previous),
  ])
  const { how = 'Temporal does not know it any more', closedAt = Date.now() } = own ?? {}
  // What a recovery had begun may go on after it, too.
  return { how, closedAt: Math.max(closedAt, recovery?.closedAt ?? 0) }
}

async function describeClosed(
  client: Client,
  workflowId: string,
  of?: string,
): Promise<Pick<ReadRemains, 'how' | 'closedAt'> | undefined> {
  try {
    const { status, runId: execution, closeTime } = await client.workflow.getHandle(workflowId, of).describe()
    if (status.name === 'RUNNING') throw goesOn(`the workflow ${workflowId} goes on`)
    const { history } = await client.workflowService.getWorkflowExecutionHistory({
      namespace: client.options.namespace,
      execution: { workflowId, runId: execution },
      historyEventFilterType: closeEvent,
      skipArchival: true,
    })
    const last = history?.events?.at(-1)
    const reason =
      last?.workflowExecutionTerminatedEventAttributes?.reason ?? last?.workflowExecutionFailedEventAttributes?.failure?.message
    const how = words[status.name] ?? status.name
    return {
      how: reason === undefined || reason === null || reason === '' ? how : `${how}: ${reason.slice(0, longestReason)}`,
      closedAt: closeTime?.getTime() ?? Date.now(),
    }
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return undefined
    throw error
  }
}

/** Not to be tried again: whoever had it recovered looks again by himself. */
function goesOn(message: string): BelayError {
  return new BelayError({ code: 'conflict', message: `${message}: there is nothing to recover` })
}
