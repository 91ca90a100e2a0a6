import { CancellationScope, isCancellation, patched, setHandler } from '@temporalio/workflow'
import {
  answerSignal,
  cancelSignal,
  runRemainsQuery,
  runStateQuery,
  sayAgainSignal,
  type CancelRequest,
  type RunInput,
  type RunResult,
} from '../contract/run-workflow.ts'
import { inline } from './activities.ts'
import { createAnswers } from './answers.ts'
import { createClosing } from './closing.ts'
import { reasonOf } from './failure.ts'
import { interpretPlan } from './interpret-plan.ts'
import { createNews } from './news.ts'
import { readOutcomes, skipRest } from './read-outcomes.ts'
import { reasonOfCancel, remainsOf } from './remains.ts'
import { createRunContext, type RunContext } from './run-context.ts'
import { createUndoStack } from './saga.ts'
import { withTimeLimit } from './time-limit.ts'
import { createWorkspace } from './workspace.ts'

/**
 * One run, from its trigger to its end: open a workspace, compile, carry the plan out; then stop → undo → finally →
 * report. It always completes, with the run's end as result; a run that cannot be taken back waits in `rollback_blocked`
 * until a person has settled each undo that failed.
 */
export async function run(input: RunInput): Promise<RunResult> {
  const movesOn = patched('take-over')
  const { resume } = input
  const { round = 0, epoch = 0 } = resume ?? {}
  const news = createNews({ runId: input.run.id, source: 'run', epoch: round })
  let carriesOut = false
  const workspace = createWorkspace(input, news, {
    movesOn,
    earlier: { epoch },
    // Together with the Plan.
    noted: resume === undefined ? 1 : 0,
    replaced(lost) {
      // Once the run is being ended, nothing of it is done again.
      if (carriesOut) context?.lose(lost)
    },
  })
  const undo = createUndoStack(news)
  const answers = createAnswers()
  const scope = new CancellationScope()
  let context: RunContext | undefined
  let cancel: CancelRequest | undefined
  const closing = createClosing({ run: input.run, round, news, undo, workspace })

  setHandler(answerSignal, answers.receive)
  setHandler(sayAgainSignal, answers.sayAgain)
  setHandler(cancelSignal, (request) => {
    cancel ??= request
    scope.cancel()
  })
  setHandler(runStateQuery, () => ({ status: closing.status(), outcomes: [...(context?.outcomes ?? [])], undo: undo.list() }))
  setHandler(runRemainsQuery, () => ({
    type: 'remains',
    remains: remainsOf({ input, context, undo, answers, workspace, closing, cancel }),
  }))

  const { state } = closing
  const { facts } = state

  async function carryOut(begun: RunContext): Promise<void> {
    context = begun
    carriesOut = true
    await withinTime(begun, () => interpretPlan(begun))
  }

  news.tell({ type: 'run', status: 'running' })

  try {
    await scope.run(async () => {
      const resumed = resume === undefined ? undefined : await inline.loadResume({ runId: input.run.id, resume })
      if (resumed?.plan !== undefined && resumed.planDigest !== undefined) {
        const { plan, planDigest } = resumed
        await carryOut(createRunContext({ input, plan, planDigest, news, workspace, undo, answers, movesOn }, resumed.outcomes))
        return
      }
      const held = await workspace.hold()
      const compiled = await inline.compileRun({
        run: input.run,
        files: held.files,
        ...(movesOn ? { holder: { epoch: held.ref.epoch, runner: held.runner } } : {}),
      })
      if (compiled.type !== 'planned') {
        state.reason = compiled.reason
        if (compiled.type === 'skipped') facts.matched = false
        else facts.errored = true
        return
      }
      const { plan, planDigest } = compiled
      news.tell({ type: 'planned', pipeline: plan.pipeline, planDigest, steps: plan.steps.map(({ id }) => id) })
      await carryOut(createRunContext({ input, plan, planDigest, news, workspace, undo, answers, movesOn }))
    })
  } catch (error) {
    if (cancel !== undefined || isCancellation(error)) facts.cancelled = true
    else if (error instanceof Overtime) facts.failed = true
    else facts.errored = true
    state.reason = isCancellation(error) ? 'its workflow was cancelled from outside, in Temporal' : reasonOf(error)
  }
  carriesOut = false
  // From here on a cancel changes nothing: what is owed is done.
  return await CancellationScope.nonCancellable(async () => {
    if (cancel !== undefined) {
      facts.cancelled = true
      state.reason = reasonOfCancel(cancel)
    }
    if (context !== undefined) {
      const because = readOutcomes(context, facts)
      if (because !== undefined) state.reason = because
      context.record(skipRest(context))
    }
    return closing.carryOut(context)
  })
}

class Overtime extends Error {}

/** Over its time the run is stopped like a cancelled one, but ends as what it is: failed. */
async function withinTime({ plan, hold }: RunContext, body: () => Promise<void>): Promise<void> {
  const limitMs = plan.timeoutMs
  try {
    await withTimeLimit(limitMs, hold, body)
  } catch (error) {
    if (!isCancellation(error) || CancellationScope.current().consideredCancelled) throw error
    throw new Overtime(`the run took longer than ${String(limitMs / 60_000)} minutes`, { cause: error })
  }
}
