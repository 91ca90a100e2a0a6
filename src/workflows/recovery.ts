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
import { inline, reading, tidyingOn } from './activities.ts'
import { createAnswers } from './answers.ts'
import { createClosing, type Closing } from './closing.ts'
import { undoOfDeployment } from './deploy-step.ts'
import { reasonOf } from './failure.ts'
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
  let owing: CancellationScope | undefined
  const closing = createClosing({ run, round, news, undo, workspace: { close: async () => going.workspace?.close() } })

  setHandler(answerSignal, answers.receive)
  setHandler(sayAgainSignal, answers.sayAgain)
  setHandler(cancelSignal, (request) => {
    cancel ??= request
    owing?.cancel()
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
  const owesRuns = mayOweRuns(read, cancel) && patched('runs-of-the-push')
  const earlier = await stopRest(run.id, remains.workspace, owesRuns ? 'afresh' : 'kept')
  const workspace = createWorkspace(remains.input, news, { movesOn, earlier })
  going.workspace = workspace
  for (const answer of remains.answers) answers.receive(answer)
  Object.assign(closing.state, remains.closing)
  const context = restoreContext(read, { news, workspace, undo, answers, movesOn })
  undo.restore(remains.undo.map((item) => ({ ...item, owed: owedAgain(context, item) })))
  const asked = remains.cancel ?? cancel
  going.parts = { input: remains.input, context, undo, answers, workspace, closing, cancel: asked }

  /** Whoever cancels it has none of them started. */
  async function startOthers(): Promise<string | undefined> {
    if (cancel !== undefined) return undefined
    news.tell({ type: 'waiting', for: 'the commit, to see which other pipelines its push matches' })
    owing = new CancellationScope()
    return await owing.run(() => startRunsOfPush(run, workspace))
  }

  const { state } = closing
  if (state.phase === 'working') {
    // It may have been in the middle of it.
    const notSettled = context === undefined ? undefined : await settleDue(context)
    const notStarted = owesRuns ? await startOthers() : undefined
    if (owesRuns) going.parts.cancel = asked ?? cancel
    stopWorking(closing, { read, context, cancel: going.parts.cancel })
    if (notSettled !== undefined) state.reason ??= notSettled
    if (notStarted !== undefined) state.reason ??= notStarted
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

/** It was ended before it was compiled, which starts the runs of the further pipelines that match its trigger. */
function mayOweRuns({ remains, plan }: ReadRemains, cancel: CancelRequest | undefined): boolean {
  const { closing, input } = remains
  const isEnding = closing.phase !== 'working' || (remains.cancel ?? cancel) !== undefined
  return !isEnding && plan === undefined && remains.planDigest === undefined && input.run.pipeline === undefined
}

/** Its own steps are not begun. Says why it could not be seen which others there are. */
async function startRunsOfPush(run: RecoveryInput['run'], workspace: Workspace): Promise<string | undefined> {
  try {
    const { files } = await workspace.hold()
    const compiled = await inline.compileRun({ run, files, othersOnly: true })
    return compiled.type === 'invalid' ? compiled.reason : undefined
  } catch (error) {
    return reasonOf(error)
  }
}

/** Nothing of the run goes on there; its directory stays if anybody is there to say so, else the next one is another. */
async function stopRest(runId: string, place: WorkspacePlace, next: 'kept' | 'afresh'): Promise<WorkspacePlace> {
  const { epoch, runner } = place
  if (runner === undefined) return { epoch }
  try {
    await tidyingOn(runner).closeWorkspace({ runId, keep: next === 'kept' })
    return next === 'kept' ? place : { epoch }
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
