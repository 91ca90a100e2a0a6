import type { Trigger } from '../domain/trigger.ts'
import { matchesGlob } from './branch-glob.ts'
import type { PipelineDocument } from './document.ts'
import { quote } from './problem.ts'

/** One alternative of a `when`: all of what it says must hold. */
interface Condition {
  event?: readonly string[] | undefined
  branch?: readonly string[] | undefined
}

/** Does this trigger start this pipeline? If not: why, in one sentence. */
export function matchesTrigger(document: Pick<PipelineDocument, 'when'>, trigger: Trigger): true | string {
  return matchesWhen(document.when, trigger)
}

/** `when` of a pipeline or step: any of its alternatives; none written: always. */
export function matchesWhen(when: readonly Condition[] | undefined, trigger: Trigger): true | string {
  if (when === undefined) return true
  const reasons = when.map((condition) => refuse(condition, trigger))
  const distinct = [...new Set(reasons)].filter((reason) => reason !== undefined)
  return reasons.includes(undefined) ? true : `when: ${shorten(distinct.join('; '))}`
}

/** True if that one alternative matches. */
export function matchesCondition(condition: Condition, trigger: Trigger): boolean {
  return refuse(condition, trigger) === undefined
}

function refuse({ event, branch }: Condition, trigger: Trigger): string | undefined {
  if (event !== undefined && !event.includes(trigger.event)) return `the event ${trigger.event} is not ${event.join(', ')}`
  if (branch === undefined || branch.some((glob) => matchesGlob(trigger.branch, glob))) return undefined
  return `the branch ${quote(trigger.branch)} is not ${branch.join(', ')}`
}

function shorten(text: string): string {
  return text.length > 300 ? `${text.slice(0, 300)}…` : text
}
