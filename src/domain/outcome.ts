import type { PlanStep } from './plan.ts'
import type { Outcome } from './step.ts'

/** The newest outcome of each step: the highest attempt, and of one attempt the highest epoch. */
export function latestOutcomes(outcomes: readonly Outcome[]): Map<string, Outcome> {
  const latest = new Map<string, Outcome>()
  for (const outcome of outcomes) {
    const known = latest.get(outcome.step)
    if (known === undefined || isNewer(outcome, known)) latest.set(outcome.step, outcome)
  }
  return latest
}

function isNewer(a: Outcome, b: Outcome): boolean {
  return a.attempt > b.attempt || (a.attempt === b.attempt && a.epoch > b.epoch)
}

/** An outcome is final unless the step may be tried again. */
export function isFinal(outcome: Outcome): boolean {
  return outcome.retryAt === undefined
}

/**
 * An attempt's end as a fact: says when it may be tried again, by the step's retry policy. The wait doubles with each
 * attempt. `lost`: so many attempts before it were lost with their runner, and do not count.
 */
export function settleOutcome(step: Pick<PlanStep, 'retry'>, ended: Outcome, lost = 0): Outcome {
  const { retry } = step
  const attempt = ended.attempt - lost
  if (ended.status !== 'failed' && ended.status !== 'errored' && ended.status !== 'timed_out') return ended
  if (attempt > retry.max || !retry.on.includes(ended.status)) return ended
  const codeMatters = ended.status === 'failed' && retry.exitCodes.length > 0
  if (codeMatters && (ended.exitCode === undefined || !retry.exitCodes.includes(ended.exitCode))) return ended
  return { ...ended, retryAt: ended.endedAt + retry.backoffMs * 2 ** (attempt - 1) }
}

/** How many attempts of the step were lost with their runner. */
export function countLost(outcomes: readonly Outcome[], step: string): number {
  return new Set(outcomes.flatMap((outcome) => (outcome.step === step && outcome.lost === true ? outcome.attempt : []))).size
}

/** Adds outcomes, each (step, attempt, epoch) once; what is known already stays as it was. */
export function mergeOutcomes(known: readonly Outcome[], added: readonly Outcome[]): Outcome[] {
  const keys = new Set(known.map(keyOf))
  return [...known, ...added.filter((outcome) => !keys.has(keyOf(outcome)))]
}

function keyOf(outcome: Outcome): string {
  return `${outcome.step}/${String(outcome.attempt)}/${String(outcome.epoch)}`
}
