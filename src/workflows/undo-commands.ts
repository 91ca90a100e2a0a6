import type { ScriptInput } from '../contract/activities.ts'
import { BelayError } from '../domain/errors.ts'
import type { PlanStep, Undo } from '../domain/plan.ts'
import type { Outcome } from '../domain/step.ts'
import { scriptsOn } from './activities.ts'
import { classifySegmentFailure, reasonOf } from './failure.ts'
import { insist, type Insisted } from './insist.ts'
import type { RunContext } from './run-context.ts'
import type { Owed } from './saga.ts'

const stopGraceMs = 10_000
/** So often in a row a script may be cut short by its runner's death before that counts as "could not be reached". */
const mostCuts = 5

/** The undo commands of a step, as an entry of the undo stack. */
export function undoOfCommands(context: RunContext, step: PlanStep, undo: Undo): Owed {
  // Attempts are counted on when it is tried again, so that each has its own log.
  const count = { refusals: 0 }
  const does = undo.commands.lines.join('; ')
  return { key: step.id, step: step.id, does, how: { type: 'commands' }, undo: () => undoCommands(context, step, undo, count) }
}

/** "Said no" counts the step's own number of attempts; "could not be tried" half an hour. */
async function undoCommands(context: RunContext, step: PlanStep, undo: Undo, count: { refusals: number }): Promise<Insisted> {
  const limit = count.refusals + undo.attempts
  let last: Outcome | undefined
  const tried = await insist(async () => {
    last = await runScript(context, { type: 'undo', step: step.id, undo }, undo.timeoutMs, count.refusals + 1)
    if (last.status === 'succeeded') return
    count.refusals += 1
    // Its limit counts here; anything thrown from now on would count as "could not be reached".
    if (count.refusals < limit) throw new BelayError({ code: 'unavailable', message: whyNot(last), retryable: true })
  })
  if (tried.type === 'failed' || last === undefined || last.status === 'succeeded') return tried
  return { type: 'failed', reason: whyNot(last) }
}

function whyNot(outcome: Outcome): string {
  return outcome.reason ?? `the undo ${outcome.status}`
}

/** Runs a script in the run's workspace if that is still there, else in a fresh one at the same commit. */
export async function runScript(
  context: RunContext,
  script: ScriptInput['script'],
  timeoutMs: number,
  attempt: number,
): Promise<Outcome> {
  for (let cut = 0; ; cut++) {
    const held = await context.workspace.hold()
    try {
      return await scriptsOn(held.runner, timeoutMs + stopGraceMs + 60_000, context.movesOn).runScript({
        workspace: held.ref,
        run: context.input.run,
        planDigest: context.planDigest,
        script,
        attempt,
      })
    } catch (error) {
      const failure = classifySegmentFailure(error)
      // Waiting for a worker counts for nothing.
      if (failure.type === 'not_started') cut -= 1
      const again = cut < mostCuts
      if (context.movesOn && again && (failure.type === 'silent' || failure.type === 'not_started'))
        await context.workspace.reconsider(held.ref.epoch, failure.type)
      else if (again && failure.type === 'gone') context.workspace.forget(held.ref.epoch)
      else if (again && ['restarted', 'silent', 'stale'].includes(failure.type)) context.workspace.renew(held.ref.epoch)
      else throw new BelayError({ code: 'unavailable', message: reasonOf(error), retryable: true, cause: error })
    }
  }
}
