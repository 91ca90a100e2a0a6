/** What is left of a run that was ended from outside: asked of its closed workflow, which is replayed for it, or of the store. */
import { Context } from '@temporalio/activity'
import { WorkflowNotFoundError, type Client, type WorkflowExecutionDescription } from '@temporalio/client'
import type { ReadRemains } from '../contract/activities.ts'
import {
  runRemainsQuery,
  type OwedUndo,
  type RecoveryInput,
  type RepositoryRef,
  type RunRemains,
  type RunRemainsAnswer,
} from '../contract/run-workflow.ts'
import { recoveryWorkflowId, runWorkflowId } from '../contract/workflow-ids.ts'
import { BelayError } from '../domain/errors.ts'
import { mergeOutcomes, latestOutcomes } from '../domain/outcome.ts'
import { environmentsOf, owesUndo, type Plan } from '../domain/plan.ts'
import type { UndoItem } from '../domain/run-event.ts'
import { RunIdentity } from '../domain/run.ts'
import { isEndedStep, type Outcome } from '../domain/step.ts'
import type { Run, StepRow, Store } from '../store/store.ts'

export interface RemainsDeps {
  store: Store
  client: Client
  /** Undefined: the project is not configured (any more). */
  findRepository(project: string): RepositoryRef | undefined
}

const answerMs = 10_000
/** After so many tries a workflow that does not answer counts as one that cannot: its history is gone, or does not replay. */
const mostTries = 6

export async function readRemains(deps: RemainsDeps, input: RecoveryInput): Promise<ReadRemains> {
  const { run } = input
  const { store, client } = deps
  const row = await store.runs.find(run.id)
  if (row === undefined) throw new BelayError({ code: 'not_found', message: `there is no run ${run.id}` })
  const [closed, asked, rows] = await Promise.all([
    describeEnd(client, input),
    askWorkflows(client, input),
    store.runs.steps(run.id),
  ])
  const planDigest = asked?.remains.planDigest ?? row.planDigest
  const plan = planDigest === undefined ? undefined : await store.runs.findPlan(planDigest)
  const known = asked ?? { from: 'store' as const, remains: await guessRemains(deps, row, { plan, rows }) }
  const { remains, from } = known
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

function outcomesOf(rows: readonly StepRow[]): Outcome[] {
  return rows.flatMap(({ runId: _runId, tail: _tail, status, endedAt, ...row }) =>
    isEndedStep(status) ? [{ ...row, status, endedAt: endedAt ?? Date.now() }] : [],
  )
}

interface Rows {
  plan: Plan | undefined
  rows: readonly StepRow[]
}

/** The workflow cannot say: its rows tell what it had begun, and all that it may owe for that is owed. */
async function guessRemains({ store, findRepository }: RemainsDeps, run: Run, known: Rows): Promise<RunRemains> {
  const runner = await findRunner(store, run.id)
  return {
    // Without a URL nothing can be fetched, and a person is told so.
    input: { run: RunIdentity.parse(run), repository: findRepository(run.project) ?? { project: run.project, url: '' } },
    outcomes: [],
    undo: guessUndo(run, known),
    answers: [],
    workspace: { epoch: run.epoch, ...(runner === undefined ? {} : { runner }) },
    closing: guessClosing(run, known),
  }
}

function guessUndo(run: Run, { plan, rows }: Rows): OwedUndo[] {
  // Nobody can carry them out, but they are not forgotten either.
  if (plan === undefined) return run.undo.map((item) => ({ ...item, key: item.step, how: { type: 'commands' } }))
  return plan.steps.flatMap((step): OwedUndo[] => {
    const attempts = rows.filter((row) => row.step === step.id)
    const items = run.undo.filter((one) => one.step === step.id)
    if (!owesUndo(step) || (items.length === 0 && attempts.length === 0)) return []
    const baseOf = (item: UndoItem | undefined) => {
      const reason = item?.reason === undefined ? {} : { reason: item.reason }
      return { step: step.id, status: item?.status ?? ('owed' as const), ...reason }
    }
    if (step.kind !== 'deploy') {
      const [item] = items
      const does = item?.does ?? step.undo?.commands.lines.join('; ') ?? ''
      return [{ ...baseOf(item), does, key: step.id, how: { type: 'commands' } }]
    }
    // Of a group each: one that was never asked has nothing to withdraw, and says so.
    return environmentsOf(step.deploy).flatMap((environment) => {
      const group = step.deploy.environments === undefined ? {} : { environment }
      const item = items.find((one) => one.environment === group.environment)
      const does = item?.does ?? `take ${environment} back to its newest kept release`
      return attempts.map(({ attempt }) => {
        const requestId = `${run.id}/${step.id}/${environment}/${String(attempt)}`
        return { ...baseOf(item), ...group, does, key: requestId, how: { type: 'deployment', environment, requestId } } as const
      })
    })
  })
}

function guessClosing(run: Run, { plan, rows }: Rows): RunRemains['closing'] {
  const facts = { undoFailed: false, cancelled: false, undoRan: false, errored: false, failed: false, matched: true }
  const latest = latestOutcomes(outcomesOf(rows))
  const good = new Set(['succeeded', 'skipped'])
  const isDone = plan?.steps.every(({ id }) => good.has(latest.get(id)?.status ?? '')) === true
  const hasBegunBack = run.undo.some(({ status }) => !['owed', 'discharged'].includes(status))
  const finallyRan = plan?.finally.some(({ id }) => latest.has(id)) === true
  const common = { facts, finallyDone: run.status === 'rollback_blocked', ...(finallyRan ? { finally: run.status } : {}) }
  if (hasBegunBack) return { ...common, phase: 'unwinding', facts: { ...facts, errored: true } }
  return { ...common, phase: isDone ? 'keeping' : 'working' }
}

/** Where its workspace was opened last, if it was not closed since. */
async function findRunner(store: Store, runId: string): Promise<string | undefined> {
  let runner: string | undefined
  for (let after = 0; ;) {
    const events = await store.runs.events(runId, { after, limit: 1_000 })
    for (const { seq, body } of events) {
      after = seq
      if (body.type === 'workspace') runner = body.status === 'opened' ? body.runner : undefined
    }
    if (events.length === 0) return runner
  }
}
