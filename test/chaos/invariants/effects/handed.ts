/** What one step leaves for another: an artifact, and the workspace under a checkpoint. Steps look at it and note what is not right. */
import { groupBy } from '../../collections.ts'
import type { FindingWriter } from '../../finding.ts'
import type { Memory, RunMemory } from '../../memory.ts'

export function checkHanded({ runs, effects }: Memory, finding: FindingWriter): void {
  const notes = groupBy(effects.lines, ({ runId }) => runId)
  for (const one of runs) {
    finding.look('artifacts', artifactsOf(one))
    for (const { kind, step, attempt } of notes.get(one.run.id) ?? []) {
      const about = `run ${one.run.id}, step ${step}, attempt ${String(attempt)}`
      if (kind === 'wrong') finding.blame(about, 'an artifact was not what the step that made it had left')
      // One that could not be stored is no checkpoint.
      if (kind === 'missing' && hasCheckpoint(one)) finding.blame(about, 'what its workspace had at the checkpoint was not there')
    }
  }
}

function artifactsOf({ steps }: RunMemory): number {
  return steps.flatMap(({ result }) => result?.artifacts ?? []).length
}

/** Of all that a plan says were stored. */
function hasCheckpoint({ plan, steps }: RunMemory): boolean {
  const wanted = plan?.steps.flatMap((step) => (step.kind === 'commands' && step.checkpoint === true ? [step.id] : [])) ?? []
  return wanted.every((id) => steps.findLast(({ step }) => step === id)?.result?.checkpoint !== undefined)
}
