/** What the store knows of a run whose workflow cannot say what is left of it. */
import type { OwedUndo, RepositoryRef, RunRemains } from '../contract/run-workflow.ts'
import { latestOutcomes } from '../domain/outcome.ts'
import { environmentsOf, owesUndo, type Plan } from '../domain/plan.ts'
import type { UndoItem } from '../domain/run-event.ts'
import { RunIdentity } from '../domain/run.ts'
import { isEndedStep, type Outcome } from '../domain/step.ts'
import type { Run, StepRow, Store } from '../store/store.ts'
import { resumeRows } from './load-resume.ts'
import { readRound } from './read-round.ts'

export interface GuessDeps {
  store: Store
  /** Undefined: the project is not configured (any more). */
  findRepository(project: string): RepositoryRef | undefined
}

export function outcomesOf(rows: readonly StepRow[]): Outcome[] {
  return rows.flatMap(({ runId: _runId, tail: _tail, status, endedAt, ...row }) =>
    isEndedStep(status) ? [{ ...row, status, endedAt: endedAt ?? Date.now() }] : [],
  )
}

export interface Rows {
  plan: Plan | undefined
  rows: readonly StepRow[]
}

/** The workflow cannot say: its rows tell what it had begun, and all that it may owe for that is owed. */
export async function guessRemains(
  { store, findRepository }: GuessDeps,
  row: Run,
  { plan, rows: all }: Rows,
): Promise<RunRemains> {
  const round = await readRound(store, row)
  const resume = row.round === 0 ? undefined : { round: row.round, epoch: round.before }
  const run = { ...row, undo: row.undo.filter(round.owes) }
  const rows = all.filter(round.has)
  const earlier =
    plan === undefined || resume === undefined
      ? []
      : await resumeRows(store, {
          plan,
          resume,
          rows: all.filter((one) => !round.has(one)),
          // What is owed anew was begun again.
          undo: row.undo.map((item) => (round.owes(item) ? { ...item, status: 'done' } : item)),
        })
  const outcomes = [...earlier, ...outcomesOf(rows)]
  return {
    input: {
      run: RunIdentity.parse(run),
      // Without a URL nothing can be fetched, and a person is told so.
      repository: findRepository(run.project) ?? { project: run.project, url: '' },
      ...(resume === undefined ? {} : { resume }),
    },
    outcomes,
    earlier: earlier.length,
    undo: guessUndo(run, { plan, rows }),
    answers: [],
    workspace: { epoch: run.epoch, ...(round.runner === undefined ? {} : { runner: round.runner }) },
    closing: guessClosing(run, { plan, outcomes }),
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

function guessClosing(
  run: Run,
  { plan, outcomes }: { plan: Plan | undefined; outcomes: readonly Outcome[] },
): RunRemains['closing'] {
  const facts = { undoFailed: false, cancelled: false, undoRan: false, errored: false, failed: false, matched: true }
  const latest = latestOutcomes(outcomes)
  const good = new Set(['succeeded', 'skipped'])
  const isDone = plan?.steps.every(({ id }) => good.has(latest.get(id)?.status ?? '')) === true
  const hasBegunBack = run.undo.some(({ status }) => !['owed', 'discharged'].includes(status))
  const finallyRan = plan?.finally.some(({ id }) => latest.has(id)) === true
  const common = { facts, finallyDone: run.status === 'rollback_blocked', ...(finallyRan ? { finally: run.status } : {}) }
  if (hasBegunBack) return { ...common, phase: 'unwinding', facts: { ...facts, errored: true } }
  return { ...common, phase: isDone ? 'keeping' : 'working' }
}
