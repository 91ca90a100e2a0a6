/** An undo or a `finally` step: the same way as a step's commands, for its outcome only. */
import type { ScriptInput } from '../contract/activities.ts'
import { messageOf } from '../domain/errors.ts'
import type { Commands, EnvValue, Plan } from '../domain/plan.ts'
import type { Outcome } from '../domain/step.ts'
import { runAttempt } from './run-attempt.ts'
import type { RunnerDeps, Task } from './runner-deps.ts'
import { lifetimeOfWork } from './token-lifetime.ts'
import { doWork, type WorkPlace } from './work.ts'

/** Undefined if it was stopped before it had an outcome: it has to run again. Throws `stale`, `not_found`. */
export async function runScript(deps: RunnerDeps, input: ScriptInput, task: Task): Promise<Outcome | undefined> {
  const { workspace } = input
  const script = scriptOf(input)
  return await doWork(deps, { workspace, work: 'script', name: `${script.part}/${script.step}` }, task, async (place) => {
    if (place.signal.aborted) return undefined
    const plan = await deps.plans.load(input.planDigest, place.signal)
    // Not into a checkpoint that is being taken of the workspace.
    if (!(await deps.quiet.enter(workspace.runId, place.signal))) return undefined
    const outcome = await attempt(deps, input, script, plan, place).finally(() => deps.quiet.leave(workspace.runId))
    if (outcome !== undefined) note(deps, place, outcome)
    return outcome
  })
}

/** On a full disk it is only told: thrown away, the script would run once more. */
function note({ log }: RunnerDeps, { journal }: WorkPlace, outcome: Outcome): void {
  try {
    journal.outcome(outcome)
  } catch (error) {
    log.error({ step: outcome.step, error: messageOf(error) }, 'an outcome could not be written down')
  }
}

interface Script {
  part: 'undo' | 'finally'
  step: string
  commands: Commands
  env: Readonly<Record<string, EnvValue>>
  timeoutMs: number
}

function scriptOf({ script }: ScriptInput): Script {
  if (script.type === 'finally') return { part: 'finally', step: script.step.id, ...script.step }
  return { part: 'undo', step: script.step, ...script.undo }
}

async function attempt(
  deps: RunnerDeps,
  input: ScriptInput,
  script: Script,
  plan: Plan,
  place: WorkPlace,
): Promise<Outcome | undefined> {
  const { runId, epoch } = input.workspace
  const { part, step, commands, env, timeoutMs } = script
  const session = deps.createSession({
    runId,
    epoch,
    planDigest: input.planDigest,
    steps: [step],
    lifetimeMs: lifetimeOfWork(timeoutMs),
  })
  return await runAttempt(deps, {
    run: input.run,
    pipeline: plan.pipeline,
    planDigest: input.planDigest,
    epoch,
    step,
    attempt: input.attempt,
    part,
    does: { commands },
    env,
    timeoutMs,
    session,
    ...place,
  })
}
