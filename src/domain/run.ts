import { z } from 'zod'
import { Trigger } from './trigger.ts'

/**
 * A run: one execution of one pipeline at one commit.
 *
 * It is queued by the transaction that accepted its trigger, decided by the workflow `run/<id>`, and remembered by a
 * row. It always ends in one of `runEnds`; `rollback_blocked` waits for a person.
 */
export const runEnds = ['succeeded', 'failed', 'errored', 'cancelled', 'rolled_back', 'rollback_failed', 'skipped'] as const
export const RunEnd = z.enum(runEnds)
export type RunEnd = z.infer<typeof RunEnd>

export const runStatuses = ['queued', 'running', 'rollback_blocked', ...runEnds] as const
export const RunStatus = z.enum(runStatuses)
export type RunStatus = z.infer<typeof RunStatus>

export function isEndedRun(status: RunStatus): status is RunEnd {
  return (runEnds as readonly string[]).includes(status)
}

/** What the transaction that accepted a trigger fixed about a run. */
export const RunIdentity = z.object({
  id: z.uuid(),
  /** Counts up within the project, from 1. */
  number: z.number().int().positive(),
  project: z.string(),
  /** The delivery's place in the store's sequence: what "newer" means between runs. */
  sequence: z.number().int().nonnegative(),
  trigger: Trigger,
  /** Set when this run is for one pipeline of several; absent: it takes the first match. */
  pipeline: z.string().optional(),
})
export type RunIdentity = z.infer<typeof RunIdentity>

/** What speaks for each end; `decideEnd` puts them in order. */
export interface EndFacts {
  undoFailed: boolean
  cancelled: boolean
  undoRan: boolean
  errored: boolean
  failed: boolean
  matched: boolean
}

/** Precedence of ends: the worst thing a person has to know comes first. */
export function decideEnd(facts: EndFacts): RunEnd {
  if (facts.undoFailed) return 'rollback_failed'
  if (facts.cancelled) return 'cancelled'
  if (facts.undoRan) return 'rolled_back'
  if (facts.errored) return 'errored'
  if (facts.failed) return 'failed'
  return facts.matched ? 'succeeded' : 'skipped'
}
