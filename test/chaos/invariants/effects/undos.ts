/** Undos: each that was run left its line, and none was run that was not owed. Trying twice is allowed. */
import type { FindingWriter } from '../../finding.ts'
import type { Memory, RunMemory } from '../../memory.ts'

export function checkUndos({ runs, effects }: Memory, finding: FindingWriter): void {
  const undone = new Set(effects.lines.filter(({ kind }) => kind === 'undo').map(({ runId, step }) => `${runId} ${step}`))
  for (const one of runs) {
    for (const { step, status } of one.run.undo) {
      if (!hasCommands(one, step)) continue
      finding.look('undos')
      const about = `run ${one.run.id}, undo of ${step}`
      const ran = undone.delete(`${one.run.id} ${step}`)
      if (status === 'done' && !ran) finding.blame(about, 'is done by the run, and the far side saw nothing of it')
      const told = one.events.some(
        ({ body }) => body.type === 'undo' && body.item.step === step && body.item.status === 'running',
      )
      if (ran && !told) finding.blame(about, 'was run, and no event of the run says so')
      if (status === 'owed' && one.run.endedAt !== undefined) finding.blame(about, 'is still owed, and the run has ended')
    }
  }
  for (const left of undone) {
    const [runId, step] = left.split(' ')
    finding.blame(`run ${String(runId)}, undo of ${String(step)}`, 'was run, and the run never owed it')
  }
}

/** A deployment is taken back by its environment, which writes no line. */
function hasCommands({ plan }: RunMemory, step: string): boolean {
  return plan?.steps.find(({ id }) => id === step)?.undo !== undefined
}
