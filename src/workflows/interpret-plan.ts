import { CancellationScope, CancelledFailure, condition } from '@temporalio/workflow'
import { advance } from '../domain/advance.ts'
import { BelayError, assertNever } from '../domain/errors.ts'
import { isRunnerStep, loadStep, type PlanStep, type Segment } from '../domain/plan.ts'
import { waitsFor } from '../domain/settling-points.ts'
import { deployStep } from './deploy-step.ts'
import { releaseStep } from './release-step.ts'
import type { RunContext } from './run-context.ts'
import { runSegment } from './run-segment.ts'
import { findDue, settlePoint } from './settling-points.ts'

/** One thing under way: a segment on a runner, a single step outside of it, or a step's settling. */
type Work = { key: string; start(): Promise<void> }

/** Pending activities are dear; more than this wait. */
const workLimit = 50

/**
 * Carries the plan out: asks `advance`, starts what is ready, waits for news, asks again. Returns when nothing can go on;
 * the outcomes say how it went. Cancelled: waits until everything under way has stopped, then throws.
 */
export async function interpretPlan(context: RunContext): Promise<void> {
  const running = new Map<string, Promise<void>>()
  const notSettled = new Set<string>()
  let changes = 0
  /** The moment that a timer was set for and has come, whatever the clock says in a replay. */
  let due = 0
  let broken: Error | undefined

  function begin(work: Work): void {
    const ended = work
      .start()
      .catch((error: unknown) => {
        broken ??= asError(error)
      })
      .finally(() => {
        running.delete(work.key)
        changes += 1
      })
    running.set(work.key, ended)
  }

  /** Also of a run that is being stopped: the step has succeeded. One that could not settle stops the run. */
  function settle(points: readonly string[]): void {
    for (const point of points) {
      const key = `settle ${point}`
      if (running.has(key) || notSettled.has(point)) continue
      const start = async (): Promise<void> => {
        notSettled.add(point)
        await settlePoint(context, point)
        notSettled.delete(point)
      }
      begin({ key, start })
    }
  }

  for (;;) {
    const now = Math.max(Date.now(), due)
    const next = advance(context.plan, context.outcomes, now)
    context.record(next.skipped)
    const points = findDue(context)
    settle(points)
    if (broken === undefined && !CancellationScope.current().consideredCancelled) {
      const ready = next.ready.filter(({ step }) => !waitsFor(context.plan, step, points))
      for (const work of findWork(context, ready)) {
        if (running.size < workLimit && !running.has(work.key)) begin(work)
      }
    }
    if (running.size === 0) {
      if (broken !== undefined) throw broken
      if (CancellationScope.current().consideredCancelled) throw new CancelledFailure('the run was stopped')
      if (next.done) return
      if (next.retryAt === undefined)
        throw new BelayError({ code: 'internal', message: 'the plan cannot go on: nothing is ready' })
    }
    const seen = changes
    try {
      const limitMs = next.retryAt === undefined ? undefined : next.retryAt - now
      const isInTime = await waitUntil(() => changes !== seen, limitMs)
      if (!isInTime) due = next.retryAt ?? due
    } catch (error) {
      broken ??= asError(error)
    }
  }
}

/** After a cancel, what is under way stops by itself; it is waited for in any case. False: the time was up first. */
async function waitUntil(changed: () => boolean, limitMs: number | undefined): Promise<boolean> {
  if (CancellationScope.current().consideredCancelled) await CancellationScope.nonCancellable(() => condition(changed))
  else if (limitMs === undefined) await condition(changed)
  else return await condition(changed, Math.max(1, limitMs))
  return true
}

function asError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown))
}

function findWork(context: RunContext, ready: readonly { step: string; attempt: number }[]): Work[] {
  const works = new Map<string, Work>()
  for (const { step: id, attempt } of ready) {
    const step = loadStep(context.plan, id)
    const work = isRunnerStep(step) ? segmentWork(context, segmentOf(context, step.segment)) : stepWork(context, step, attempt)
    works.set(work.key, work)
  }
  return [...works.values()]
}

function segmentOf(context: RunContext, id: number): Segment {
  const segment = context.plan.segments.find((candidate) => candidate.id === id)
  if (segment === undefined) throw new BelayError({ code: 'internal', message: `the plan has no segment ${String(id)}` })
  return segment
}

function segmentWork(context: RunContext, segment: Segment): Work {
  return { key: `segment ${String(segment.id)}`, start: () => runSegment(context, segment) }
}

function stepWork(context: RunContext, step: Exclude<PlanStep, { segment: number }>, attempt: number): Work {
  const key = `step ${step.id}`
  switch (step.kind) {
    case 'release':
      return { key, start: () => releaseStep(context, step, attempt) }
    case 'deploy':
      return { key, start: () => deployStep(context, step, attempt) }
    default:
      return assertNever(step)
  }
}
