import type { ClosingState, RunResult } from '../contract/run-workflow.ts'
import { decideEnd, type RunEnd, type RunStatus } from '../domain/run.ts'
import { bookkeeping } from './activities.ts'
import { keepDeployments } from './deploy-step.ts'
import { reasonOf } from './failure.ts'
import { runFinally } from './finally.ts'
import type { News } from './news.ts'
import type { RunContext } from './run-context.ts'
import type { UndoStack } from './saga.ts'
import { createSettling } from './settling.ts'
import type { Workspace } from './workspace.ts'

/**
 * The last part of a run, whoever carries it out: it settles or is taken back, then `finally`, then the report. What could
 * not be taken back waits in `rollback_blocked` until a person has settled it.
 */
export interface Closing {
  readonly state: ClosingState
  status(): RunStatus
  say(status: RunStatus, reason: string): void
  /** Cannot be cancelled: call it in a scope that cannot. Goes on from wherever `state` says that it is. */
  carryOut(context: RunContext | undefined): Promise<RunResult>
}

export interface ClosingDeps {
  run: { id: string; number: number }
  /** Of the run: which time it goes on after an end. */
  round: number
  news: News
  undo: UndoStack
  workspace: Pick<Workspace, 'close'>
}

/** Takes the updates of people from the beginning, so that they are refused and not left waiting. */
export function createClosing({ run, round, news, undo, workspace }: ClosingDeps): Closing {
  let status: RunStatus = 'running'
  const state: ClosingState = {
    phase: 'working',
    facts: { undoFailed: false, cancelled: false, undoRan: false, errored: false, failed: false, matched: true },
    finallyDone: false,
  }
  const settling = createSettling({ number: run.number, undo, workspace, status: () => status, say })

  async function report(ended: RunEnd | 'rollback_blocked', because: string | undefined): Promise<void> {
    const ending = { status: ended, at: Date.now(), round, ...(because === undefined ? {} : { reason: because }) }
    await bookkeeping.finishRun({ runId: run.id, ending, events: await news.drain() })
  }

  function say(now: RunStatus, because: string): void {
    status = now
    news.tell({ type: 'run', status: now, reason: because })
  }

  /** Keeps what was deployed, or else takes back whatever is owed. */
  async function settle(context: RunContext | undefined): Promise<void> {
    const { facts } = state
    const good = !facts.cancelled && !facts.errored && !facts.failed
    if (state.phase === 'working') state.phase = good ? 'keeping' : 'unwinding'
    if (state.phase === 'keeping') {
      const notKept = await keep(context)
      if (notKept === undefined) {
        state.phase = 'settled'
        undo.discharge()
        return
      }
      facts.errored = true
      state.reason = notKept
      state.phase = 'unwinding'
    }
    await undo.unwind()
    facts.undoRan = undo.list().some(({ status: how }) => how === 'done' || how === 'failed' || how === 'skipped')
    facts.undoFailed = undo.blocked().length > 0
  }

  return {
    state,
    status: () => status,
    say,
    async carryOut(context) {
      const { facts } = state
      if (state.phase !== 'settled' && state.phase !== 'ended') await settle(context)
      if (context !== undefined && !state.finallyDone) {
        state.finally ??= facts.undoFailed ? 'rollback_blocked' : decideEnd(facts)
        await runFinally(context, state.finally)
      }
      state.finallyDone = true
      await workspace.close()
      if (facts.undoFailed && state.phase !== 'ended') {
        status = 'rollback_blocked'
        await report(status, settling.reason())
        await settling.done()
      }
      facts.undoFailed = undo.list().some(({ status: how }) => how === 'skipped')
      if (facts.undoFailed) state.reason = settling.reason()
      state.phase = 'ended'
      const end = decideEnd(facts)
      status = end
      await report(end, state.reason)
      return { end }
    },
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
