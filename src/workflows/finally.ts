import type { RunStatus } from '../domain/run.ts'
import { insist } from './insist.ts'
import type { RunContext } from './run-context.ts'
import { runScript } from './undo-commands.ts'

/** `finally` steps, in the order in which they were written, once; how they end changes nothing about the run's end. */
export async function runFinally(context: RunContext, status: RunStatus): Promise<void> {
  // Each time that the run goes on has its own.
  const attempt = (context.input.resume?.round ?? 0) + 1
  for (const step of context.plan.finally) {
    if (step.skip !== undefined) continue
    // Before the workflow that had begun this was ended from outside.
    if (context.outcomes.some((outcome) => outcome.step === step.id)) continue
    if (step.statuses.length > 0 && !step.statuses.includes(status)) continue
    await insist(
      async () => {
        context.record([await runScript(context, { type: 'finally', step, status }, step.timeoutMs, attempt)])
      },
      { saidNo: 1 },
    )
  }
}
