import { CancelledFailure, condition, sleep } from '@temporalio/workflow'
import { advance, type Advance } from '../domain/advance.ts'
import { BelayError, assertNever } from '../domain/errors.ts'
import { countLost, settleOutcome } from '../domain/outcome.ts'
import { loadStep, type PlanStep, type Segment } from '../domain/plan.ts'
import type { Outcome } from '../domain/step.ts'
import { askAgainMs } from './ask-after-runner.ts'
import { inline, segmentStartTimeoutMs, segmentsOn } from './activities.ts'
import { classifySegmentFailure } from './failure.ts'
import type { RunContext } from './run-context.ts'
import { undoOfCommands } from './undo-commands.ts'
import { countInterruptions, hasUndo, settleInFlight, settleInterrupted } from './settle-in-flight.ts'
import type { HeldWorkspace } from './workspace.ts'

const stopGraceMs = 10_000
const calledOffWait = '10s'

/**
 * Has one segment executed, whatever happens to its runner: cut short, it is sent again with the outcomes so far. Returns
 * when nothing of it can go on; throws when the run was cancelled, after its process trees are gone.
 */
export async function runSegment(context: RunContext, segment: Segment): Promise<void> {
  const cut: Cut = { mayHaveBegun: false, isInDoubt: false }
  while (hasWork(context, segment)) {
    oweUndo(context, segment)
    const held = await open(context, segment)
    if (held === undefined) return
    // A workspace that took the place of a lost one may lack what this segment needs.
    if (context.movesOn && !hasWork(context, segment)) return
    const { epoch } = held.ref
    try {
      const send = () =>
        segmentsOn(held.runner, limitOf(context, segment)).runSegment({
          workspace: held.ref,
          run: context.input.run,
          planDigest: context.planDigest,
          segment: segment.id,
          outcomes: context.outcomes.map(withoutBulk),
          interruptions: { ...context.interruptions },
          ...(cut.isInDoubt ? { inDoubt: segment.steps.filter((step) => hasUndo(context, step)) } : {}),
        })
      const result = context.movesOn ? await context.workspace.during(send) : await send()
      context.record(result.outcomes)
      if (result.ended === 'cancelled') throw new CancelledFailure('the segment was cancelled')
      cut.isInDoubt = false
      if (result.interrupted !== undefined) {
        await settleInterrupted(context, result.interrupted, held)
        continue
      }
      if (result.ended === 'complete') {
        // Called off on the runner, by a failure that another segment has yet to return.
        const known = context.outcomes.length
        if (result.outcomes.length === 0 && hasWork(context, segment))
          await condition(() => context.outcomes.length > known, calledOffWait)
        return
      }
      cut.mayHaveBegun = true
      cut.isInDoubt = true
      if (!context.movesOn) context.workspace.renew(epoch)
      else if ((await context.workspace.reconsider(epoch, 'silent')) === 'elsewhere')
        await settleLost(context, segment, { held, cut })
    } catch (error) {
      const mended = context.movesOn
        ? await mendOrMove(context, segment, { held, error, cut })
        : await mend(context, segment, held, error)
      if (!mended) return
    }
  }
}

interface Cut {
  /** An earlier sending of the segment was cut short: a step of it may have begun. */
  mayHaveBegun: boolean
  /** And its runner, which is there still or again, has not said which. */
  isInDoubt: boolean
}

/** As `mend`, where another runner may take over. */
async function mendOrMove(
  context: RunContext,
  segment: Segment,
  { held, error, cut }: { held: HeldWorkspace; error: unknown; cut: Cut },
): Promise<boolean> {
  const failure = classifySegmentFailure(error)
  const { epoch } = held.ref
  switch (failure.type) {
    case 'silent':
      cut.mayHaveBegun = true
      context.record(failure.outcomes)
      if ((await context.workspace.reconsider(epoch, 'silent')) === 'elsewhere') await settleLost(context, segment, { held, cut })
      else {
        cut.isInDoubt = true
        countReady(context, segment)
      }
      return true
    case 'not_started':
      if ((await context.workspace.reconsider(epoch, 'not_started')) === 'elsewhere' && cut.mayHaveBegun)
        await settleLost(context, segment, { held, cut })
      return true
    case 'gone':
      context.workspace.forget(epoch)
      if (cut.mayHaveBegun) await settleLost(context, segment, { held, cut })
      return true
    default:
      cut.mayHaveBegun ||= failure.type === 'restarted'
      return mend(context, segment, held, error)
  }
}

async function settleLost(
  context: RunContext,
  segment: Segment,
  { held, cut }: { held: HeldWorkspace; cut: Cut },
): Promise<void> {
  cut.isInDoubt = false
  await settleInFlight(context, segment, held)
}

/** After a failure of the activity: true if the segment is to be sent again. */
async function mend(context: RunContext, segment: Segment, held: HeldWorkspace, error: unknown): Promise<boolean> {
  const failure = classifySegmentFailure(error)
  switch (failure.type) {
    case 'cancelled':
      throw error
    case 'restarted':
      context.record(failure.details.outcomes)
      countInterruptions(context, failure.details.interrupted)
      context.workspace.renew(held.ref.epoch)
      await settleInterrupted(context, failure.details.interrupted, held)
      return true
    case 'silent':
      countReady(context, segment)
      context.workspace.renew(held.ref.epoch)
      return true
    case 'stale':
      // Another segment of this workspace was cut short at the same time and has renewed it.
      context.workspace.renew(held.ref.epoch)
      return true
    case 'not_started':
      await waitForRunner(context, held.runner)
      return true
    case 'gone':
      context.workspace.forget(held.ref.epoch)
      fail(context, segment, `the workspace on runner "${held.runner}" is lost`)
      return false
    case 'broken':
      fail(context, segment, failure.reason)
      return false
    default:
      return assertNever(failure)
  }
}

async function open(context: RunContext, segment: Segment): Promise<HeldWorkspace | undefined> {
  try {
    return await context.workspace.hold()
  } catch (error) {
    const failure = classifySegmentFailure(error)
    if (failure.type === 'cancelled') throw error
    fail(context, segment, failure.type === 'broken' ? failure.reason : `no workspace could be opened (${failure.type})`)
    return undefined
  }
}

/** A segment that nobody took: as long as its runner is away it is waited for, and that is shown. */
async function waitForRunner(context: RunContext, runner: string): Promise<void> {
  const asked = Date.now()
  let told = false
  while (!(await inline.isRunnerActive({ runner }))) {
    if (!told)
      context.news.tell({
        type: 'waiting',
        for: `runner "${runner}" (nothing heard of it for ${String(segmentStartTimeoutMs / 1000)} s)`,
      })
    told = true
    await sleep(askAgainMs(Date.now() - asked))
  }
}

/** The runner needs to know how steps ended, not what they printed or left. */
function withoutBulk({ tail: _tail, result: _result, ...outcome }: Outcome): Outcome {
  return outcome
}

/** What may have been under way. */
function countReady(context: RunContext, segment: Segment): void {
  countInterruptions(
    context,
    readyOf(context, segment, Date.now()).map(({ step }) => step),
  )
}

function readyOf({ plan, outcomes }: RunContext, segment: Segment, now: number): Advance['ready'] {
  return advance(plan, outcomes, now).ready.filter(({ step }) => segment.steps.includes(step))
}

function hasWork(context: RunContext, segment: Segment): boolean {
  const next = advance(context.plan, context.outcomes, Date.now())
  const pending = new Set(next.ready.map(({ step }) => step))
  if (segment.steps.some((step) => pending.has(step))) return true
  // A retry that is not due yet is waited for by the runner, inside the segment.
  return (
    next.retryAt !== undefined &&
    segment.steps.some((step) => context.outcomes.some((outcome) => outcome.step === step && outcome.retryAt !== undefined))
  )
}

/** The steps of the segment that were ready could not be run: they error, each with the reason. */
function fail(context: RunContext, segment: Segment, reason: string): void {
  const now = Date.now()
  const ready = readyOf(context, segment, now)
  if (ready.length === 0) throw new BelayError({ code: 'internal', message: reason })
  context.record(
    ready.map(({ step, attempt }): Outcome => {
      const ended: Outcome = { step, attempt, epoch: 0, status: 'errored', endedAt: now, reason }
      return settleOutcome(loadStep(context.plan, step), ended, countLost(context.outcomes, step))
    }),
  )
}

function oweUndo(context: RunContext, segment: Segment): void {
  for (const id of segment.steps) {
    const step = loadStep(context.plan, id)
    if (step.undo !== undefined) context.undo.owe(undoOfCommands(context, step, step.undo))
  }
}

/**
 * Σ (timeout + backoff) × attempts + grace + 60 s, and as long as the run itself may take: a segment waits for its slot
 * inside the activity. A dead runner shows by its silence, long before.
 */
function limitOf(context: RunContext, segment: Segment): number {
  const steps = segment.steps.map((id) => loadStep(context.plan, id))
  return steps.reduce((sum, step) => sum + longest(step), context.plan.timeoutMs) + stopGraceMs + 60_000
}

function longest(step: PlanStep): number {
  const { max, backoffMs } = step.retry
  return step.timeoutMs * (max + 1) + backoffMs * (2 ** max - 1)
}
