import { CancellationScope, patched, setHandler, sleep, workflowInfo } from '@temporalio/workflow'
import type { ReadRemains } from '../contract/activities.ts'
import {
  answerSignal,
  cancelSignal,
  runRemainsQuery,
  runStateQuery,
  sayAgainSignal,
  type CancelRequest,
  type OwedUndo,
  type RecoveryInput,
  type RunResult,
  type WorkspacePlace,
} from '../contract/run-workflow.ts'
import { BelayError } from '../domain/errors.ts'
import { loadStep, type Plan } from '../domain/plan.ts'
import type { Outcome } from '../domain/step.ts'
import { reading, tidyingOn } from './activities.ts'
import { createAnswers } from './answers.ts'
import { createClosing, type Closing } from './closing.ts'
import { undoOfDeployment } from './deploy-step.ts'
import { createNews } from './news.ts'
import { readOutcomes, skipRest } from './read-outcomes.ts'
import { reasonOfCancel, remainsOf, type RunParts } from './remains.ts'
import { createRunContext, type RunContext } from './run-context.ts'
import { createUndoStack, type Owed } from './saga.ts'
import { settleDue } from './settling-points.ts'
import { undoOfCommands } from './undo-commands.ts'
import { createWorkspace, type Workspace } from './workspace.ts'

/** Heartbeat and grace: after this long, what the run had begun is over or is not allowed to go on. */
const silenceMs = 20_000

/**
 * Brings a run to its end whose own workflow was ended from outside: waits until what was running is over, then goes on
 * where the run was, with the run's own code. Steps are not carried on with: what had not settled is taken back.
 */
export function recovery(input: RecoveryInput): Promise<RunResult> {
  // Cancelling it means nothing: all of it is owed.
  return CancellationScope.nonCancellable(() => recover(input))
}

async function recover(input: RecoveryInput): Promise<RunResult> {
  const movesOn = patched('take-over')
  const { run, round = 0, previous } = input
  const news = createNews({ runId: run.id, source: `recovery/${workflowInfo().runId}`, epoch: 0 })
  const undo = createUndoStack(news)
  const answers = createAnswers()
  // Known once what is left of the run has been read.
  const going: { workspace?: Workspace; parts?: RunParts } = {}
  let cancel: CancelRequest | undefined
  const closing = createClosing({ run, round, news, undo, workspace: { close: async () => going.workspace?.close() } })

  setHandler(answerSignal, answers.receive)
  setHandler(sayAgainSignal, answers.sayAgain)
  setHandler(cancelSignal, (request) => {
    cancel ??= request
  })
  setHandler(runStateQuery, () => ({
    status: closing.status(),
    outcomes: [...(going.parts?.context?.outcomes ?? [])],
    undo: undo.list(),
  }))
  setHandler(runRemainsQuery, () => {
    if (going.parts !== undefined) return { type: 'remains', remains: remainsOf(going.parts) }
    return { type: 'unknown', ...(previous === undefined ? {} : { previous }) }
  })

  const read = await reading.readRemains(input)
  const { remains } = read
  const note = noteOf(read)
  closing.say('running', `recovering: ${note}`)
  const waitMs = read.closedAt + silenceMs - Date.now()
  if (remains.closing.phase !== 'ended' && waitMs > 0) {
    news.tell({ type: 'waiting', for: 'what was still running to be over' })
    await sleep(waitMs)
  }
  const workspace = createWorkspace(remains.input, news, { movesOn, earlier: await stopRest(run.id, remains.workspace) })
  going.workspace = workspace
  for (const answer of remains.answers) answers.receive(answer)
  Object.assign(closing.state, remains.closing)
  const context = restoreContext(read, { news, workspace, undo, answers, movesOn })
  undo.restore(remains.undo.map((item) => ({ ...item, owed: owedAgain(context, item) })))
  const asked = remains.cancel ?? cancel
  going.parts = { input: remains.input, context, undo, answers, workspace, closing, cancel: asked }

  const { state } = closing
  if (state.phase === 'working') {
    // It may have been in the middle of it.
    const notSettled = context === undefined ? undefined : await settleDue(context)
    stopWorking(closing, { read, context, cancel: asked })
    if (notSettled !== undefined) state.reason ??= notSettled
  }
  const isTakenBack = state.phase === 'working' || state.phase === 'unwinding'
  // One that recovers a recovery finds it there already.
  if (isTakenBack && read.from !== 'recovery') state.reason = state.reason === undefined ? note : `${state.reason}; ${note}`
  return closing.carryOut(context)
}

function noteOf({ how, from }: ReadRemains): string {
  const note = `its workflow was ended from outside (${how})`
  return from === 'store' ? `${note} and cannot be asked: what it owed is what the store knows of it` : note
}

/** Nothing of the run goes on there; its directory stays if anybody is there to say so, else the next one is another. */
async function stopRest(runId: string, place: WorkspacePlace): Promise<WorkspacePlace> {
  const { epoch, runner } = place
  if (runner === undefined) return { epoch }
  try {
    await tidyingOn(runner).closeWorkspace({ runId, keep: true })
    return place
  } catch {
    // It stops by itself what nobody hears of any more.
    return { epoch }
  }
}

function restoreContext(
  { remains, plan }: ReadRemains,
  parts: Pick<RunContext, 'news' | 'workspace' | 'undo' | 'answers' | 'movesOn'>,
): RunContext | undefined {
  if (plan === undefined || remains.planDigest === undefined) return undefined
  const { input, planDigest, outcomes, earlier = 0 } = remains
  const context = createRunContext({ input, plan, planDigest, ...parts }, outcomes.slice(0, earlier))
  context.record(outcomes.slice(earlier))
  return context
}

/** The same undo as the run would have done; without a plan nobody can, and a person has to know. */
function owedAgain(context: RunContext | undefined, item: OwedUndo): Owed {
  const { key, step, does, how } = item
  if (context === undefined) {
    const reason = 'the plan of this run is not known any more'
    return { key, step, does, how, undo: () => Promise.resolve({ type: 'failed', reason }) }
  }
  // Whether it had answered makes no difference to it: a request that it does not know is withdrawn.
  if (how.type === 'deployment')
    return undoOfDeployment(context, { step, ...how, group: item.environment !== undefined }, { answered: false })
  const planned = loadStep(context.plan, step)
  if (planned.undo === undefined) throw new BelayError({ code: 'internal', message: `step "${step}" owes no undo` })
  return undoOfCommands(context, planned, planned.undo)
}

/** It was carrying its plan out: what was under way has errored, and nothing else is begun. */
function stopWorking(
  { state }: Closing,
  { read, context, cancel }: { read: ReadRemains; context: RunContext | undefined; cancel: CancelRequest | undefined },
): void {
  if (cancel !== undefined) {
    state.facts.cancelled = true
    state.reason = reasonOfCancel(cancel)
  }
  if (context !== undefined) {
    const because = readOutcomes(context, state.facts)
    if (because !== undefined) state.reason = because
    context.record(cutShort(context, read))
    context.record(skipRest(context))
  }
  state.facts.errored = true
}

function cutShort({ plan }: { plan: Plan }, { unended, how }: ReadRemains): Outcome[] {
  const planned = new Set(plan.steps.map(({ id }) => id))
  const reason = `the run's workflow was ended from outside (${how})`
  return unended
    .filter(({ step }) => planned.has(step))
    .map((attempt) => ({ ...attempt, status: 'errored', endedAt: Date.now(), reason }))
}
