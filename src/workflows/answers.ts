import { CancellationScope, condition, patched } from '@temporalio/workflow'
import type { EnvironmentMessage } from '../contract/environment-workflow.ts'
import { outweighs } from '../domain/answer-order.ts'
import type { Answer } from '../domain/environment.ts'
import { bookkeeping } from './activities.ts'

/** What environments have answered to this run's requests. */
export interface Answers {
  receive(answer: Answer): void
  /** That environment may not know what it was asked: what waits for its answer says it again now. */
  sayAgain(environment: string): void
  /** The newest one to this request. */
  find(requestId: string): Answer | undefined
  list(): Answer[]
  /** Tells of each answer to this request as it comes. Ends with the call of what it returns. */
  watch(requestId: string, heard: (answer: Answer) => void): () => void
  /** Says it, and says it again, ever more rarely, until one of these answers is there; of those that failed, one newer than `after`. */
  ask(environment: string, message: EnvironmentMessage, until: readonly Answer['status'][]): Promise<Answer>
}

/**
 * A message is said again for an environment that was ended from outside and knows nothing of it; one that was started again asks for it
 * by itself. Each time costs both histories some events, a wait may take weeks, and what is long takes long to replay.
 */
const repeat = { firstMs: 30_000, share: 1 / 5, mostMs: 6 * 60 * 60_000 } as const

/** Until the next time, of a wait that has taken so long. */
export function repeatAfterMs(waitedMs: number): number {
  return Math.min(Math.max(repeat.firstMs, Math.round(waitedMs * repeat.share)), repeat.mostMs)
}

export function createAnswers(): Answers {
  const latest = new Map<string, Answer>()
  const watchers = new Map<string, (answer: Answer) => void>()
  /** How often each environment was started afresh meanwhile. */
  const calls = new Map<string, number>()
  const callsOf = (environment: string): number => calls.get(environment) ?? 0
  return {
    sayAgain(environment) {
      // Under earlier code nothing came of it.
      if (patched('says-it-again')) calls.set(environment, callsOf(environment) + 1)
    },
    receive(answer) {
      const known = latest.get(answer.requestId)
      if (known !== undefined && isOutweighed(answer, known)) return
      latest.set(answer.requestId, answer)
      watchers.get(answer.requestId)?.(answer)
    },
    watch(requestId, heard) {
      watchers.set(requestId, heard)
      return () => watchers.delete(requestId)
    },
    find: (requestId) => latest.get(requestId),
    list: () => [...latest.values()],
    async ask(environment, message, until) {
      const requestId = message.type === 'deploy' ? message.request.id : message.requestId
      const after = 'after' in message ? message.after : undefined
      const answered = (): Answer | undefined => {
        const answer = latest.get(requestId)
        const isOld = answer?.status === 'undo_failed' && after !== undefined && answer.at <= after
        return answer !== undefined && !isOld && until.includes(answer.status) ? answer : undefined
      }
      const askedAt = Date.now()
      for (;;) {
        const heard = callsOf(environment)
        // A message that is under way is not recalled by a cancel: the environment must not be left guessing.
        await CancellationScope.nonCancellable(() => bookkeeping.tellEnvironment({ environment, message }))
        const isDue = (): boolean => answered() !== undefined || callsOf(environment) > heard
        await condition(isDue, repeatAfterMs(Date.now() - askedAt))
        const answer = answered()
        if (answer !== undefined) return answer
      }
    },
  }
}

/** Under earlier code the time alone counted. */
function isOutweighed(answer: Answer, known: Answer): boolean {
  const isOlder = answer.at < known.at
  const isLighter = !outweighs(answer, known)
  return isLighter !== isOlder && patched('an-end-counts') ? isLighter : isOlder
}
