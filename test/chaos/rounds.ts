/** A run that goes on after its end is the same run in its next round: what it told in each. */
import type { StoredRunEvent } from '../../src/domain/run-event.ts'
import type { StepStatus } from '../../src/domain/step.ts'
import type { Effect } from './effects.ts'
import type { RunMemory } from './memory.ts'

export interface Round {
  /** From 0. */
  number: number
  /** Of this round, in the order in which they were told. */
  events: StoredRunEvent[]
  /** ms since 1970; the first one begins before everything, the last one ends after it. */
  from: number
  until: number
}

export function roundsOf({ run, events }: Pick<RunMemory, 'run' | 'events'>): Round[] {
  const begins = events.filter(({ source, epoch, body }) => {
    return source === 'store' && epoch > 0 && body.type === 'run' && body.status === 'queued'
  })
  const rounds = Array.from({ length: run.round + 1 }, (_, number): Round => {
    const at = (round: number, otherwise: number) => begins.find(({ epoch }) => epoch === round)?.at ?? otherwise
    return { number, events: [], from: number === 0 ? -Infinity : at(number, Infinity), until: at(number + 1, Infinity) }
  })
  for (const event of events) {
    // What an earlier round's workflow still had to tell may come after the next one has begun.
    const told = event.source === 'run' ? event.epoch : begins.filter(({ seq }) => seq <= event.seq).length
    rounds[told]?.events.push(event)
  }
  return rounds
}

/** Notes without a time are of the first round. */
export function isIn({ number, from, until }: Round, { at }: Pick<Effect, 'at'>): boolean {
  return at === undefined ? number === 0 : at >= from && at < until
}

/**
 * What began in this round: steps with their first attempt in it. Some are told only of when they have ended. Late news of an attempt
 * of a round before are none of this one.
 */
export function begunIn(rounds: readonly Round[], number: number): Map<string, number> {
  const before = new Map<string, number>()
  const begun = new Map<string, number>()
  for (const round of rounds.slice(0, number + 1)) {
    for (const { body } of round.events) {
      if (body.type !== 'step' || notBegun.includes(body.change.status)) continue
      const { step, attempt } = body.change
      if (round.number < number) before.set(step, Math.max(attempt, before.get(step) ?? 0))
      else if (attempt > (before.get(step) ?? 0)) begun.set(step, Math.min(attempt, begun.get(step) ?? Infinity))
    }
  }
  return begun
}

const notBegun: readonly StepStatus[] = ['queued', 'waiting', 'skipped']
