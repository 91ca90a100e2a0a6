import { CancellationScope, isCancellation, setHandler } from '@temporalio/workflow'
import {
  answerSignal,
  cancelSignal,
  runStateQuery,
  type CancelRequest,
  type RunInput,
  type RunResult,
} from '../contract/run-workflow.ts'
import { latestOutcomes } from '../domain/outcome.ts'
import { decideEnd, type EndFacts, type RunEnd, type RunStatus } from '../domain/run.ts'
import { bookkeeping, inline } from './activities.ts'
import { createAnswers } from './answers.ts'
import { keepDeployments } from './deploy-step.ts'
import { reasonOf } from './failure.ts'
import { runFinally } from './finally.ts'
import { interpretPlan } from './interpret-plan.ts'
import { createNews } from './news.ts'
import { createRunContext, type RunContext } from './run-context.ts'
import { createUndoStack } from './saga.ts'
import { createSettling } from './settling.ts'
import { createWorkspace } from './workspace.ts'

/**
 * One run, from its trigger to its end: open a workspace, compile, carry the plan out; then stop → undo → finally →
 * report. It always completes, with the run's end as result; a run that cannot be taken back waits in `rollback_blocked`
 * until a person has settled each undo that failed.
 */
export async function run(input: RunInput): Promise<RunResult> {
  const news = createNews({ runId: input.run.id, source: 'run', epoch: 0 })
  const workspace = createWorkspace(input, news)
  const undo = createUndoStack(news)
  const answers = createAnswers()
  const scope = new CancellationScope()
  let context: RunContext | undefined
  let cancel: CancelRequest | undefined
  let status: RunStatus = 'running'
  const settling = createSettling({ number: input.run.number, undo, workspace, status: () => status, say })

  setHandler(answerSignal, answers.receive)
  setHandler(cancelSignal, (request) => {
    cancel ??= request
    scope.cancel()
  })
  setHandler(runStateQuery, () => ({ status, outcomes: [...(context?.outcomes ?? [])], undo: undo.list() }))

  const facts: EndFacts = { undoFailed: false, cancelled: false, undoRan: false, errored: false, failed: false, matched: true }
  let reason: string | undefined
  news.tell({ type: 'run', status })

  try {
    await scope.run(async () => {
      const held = await workspace.hold()
      const compiled = await inline.compileRun({ run: input.run, files: held.files })
      if (compiled.type !== 'planned') {
        reason = compiled.reason
        if (compiled.type === 'skipped') facts.matched = false
        else facts.errored = true
        return
      }
      const { plan, planDigest } = compiled
      news.tell({ type: 'planned', pipeline: plan.pipeline, planDigest, steps: plan.steps.map(({ id }) => id) })
      const begun = createRunContext({ input, plan, planDigest, news, workspace, undo, answers })
      context = begun
      await withinTime(plan.timeoutMs, () => interpretPlan(begun))
    })
  } catch (error) {
    if (cancel !== undefined || isCancellation(error)) facts.cancelled = true
    else if (error instanceof Overtime) facts.failed = true
    else facts.errored = true
    if (!isCancellation(error)) reason = reasonOf(error)
  }
  // From here on a cancel changes nothing: what is owed is done.
  return await CancellationScope.nonCancellable(async () => {
    if (cancel !== undefined) {
      facts.cancelled = true
      reason = cancel.reason ?? `cancelled by ${cancel.actor.name}`
    }
    if (context !== undefined) reason = readOutcomes(context, facts) ?? reason
    const good = !facts.cancelled && !facts.errored && !facts.failed
    const notKept = good ? await keep(context) : undefined
    if (good && notKept === undefined) undo.discharge()
    else {
      facts.errored ||= good
      reason = notKept ?? reason
      const unwound = await undo.unwind()
      facts.undoRan = unwound.ran
      facts.undoFailed = unwound.failed.length > 0
    }
    let end = decideEnd(facts)
    if (context !== undefined) await runFinally(context, facts.undoFailed ? 'rollback_blocked' : end)
    await workspace.close()
    if (facts.undoFailed) {
      status = 'rollback_blocked'
      await report(status, settling.reason())
      await settling.done()
      const skipped = undo.list().filter((item) => item.status === 'skipped')
      facts.undoFailed = skipped.length > 0
      if (facts.undoFailed) reason = settling.reason()
      end = decideEnd(facts)
    }
    status = end
    await report(end, reason)
    return { end }
  })

  async function report(ended: RunEnd | 'rollback_blocked', because: string | undefined): Promise<void> {
    const ending = { status: ended, at: Date.now(), ...(because === undefined ? {} : { reason: because }) }
    await bookkeeping.finishRun({ runId: input.run.id, ending, events: await news.drain() })
  }

  function say(now: RunStatus, because: string): void {
    status = now
    news.tell({ type: 'run', status: now, reason: because })
  }
}

/** A run whose deployments are not kept has not settled: it is taken back, with this reason. */
async function keep(context: RunContext | undefined): Promise<string | undefined> {
  try {
    if (context !== undefined) await keepDeployments(context)
    return undefined
  } catch (error) {
    return reasonOf(error)
  }
}

class Overtime extends Error {}

/** Over its time the run is stopped like a cancelled one, but ends as what it is: failed. */
async function withinTime(limitMs: number, body: () => Promise<void>): Promise<void> {
  try {
    await CancellationScope.withTimeout(limitMs, body)
  } catch (error) {
    if (!isCancellation(error) || CancellationScope.current().consideredCancelled) throw error
    throw new Overtime(`the run took longer than ${String(limitMs / 60_000)} minutes`, { cause: error })
  }
}

/** What the steps say about the end of the run; the reason is that of the first one that ended badly. */
function readOutcomes(context: RunContext, facts: EndFacts): string | undefined {
  const latest = latestOutcomes(context.outcomes)
  let reason: string | undefined
  for (const { id } of context.plan.steps) {
    const outcome = latest.get(id)
    if (outcome === undefined || outcome.status === 'succeeded' || outcome.status === 'skipped' || outcome.status === 'cancelled')
      continue
    if (outcome.status === 'errored') facts.errored = true
    else facts.failed = true
    reason ??= `step "${id}" ${outcome.status}${outcome.reason === undefined ? '' : `: ${outcome.reason}`}`
  }
  context.record(skipRest(context))
  return reason
}

/** Steps that never started, for whoever looks at the run later. */
function skipRest(context: RunContext): Parameters<RunContext['record']>[0] {
  const latest = latestOutcomes(context.outcomes)
  return context.plan.steps
    .filter(({ id }) => !latest.has(id))
    .map(({ id }) => ({
      step: id,
      attempt: 1,
      epoch: 0,
      status: 'skipped' as const,
      endedAt: Date.now(),
      reason: 'the run stopped before',
    }))
}
