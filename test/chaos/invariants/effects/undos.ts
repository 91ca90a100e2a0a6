/** Undos, in each round of a run: each that was run left its line, and none was run that was not owed. Trying twice is allowed. */
import type { UndoItem } from '../../../../src/domain/run-event.ts'
import type { FindingWriter } from '../../finding.ts'
import type { Memory, RunMemory } from '../../memory.ts'
import { isIn, roundsOf, type Round } from '../../rounds.ts'

export function checkUndos({ runs, effects }: Memory, finding: FindingWriter): void {
  const undone = new Set(effects.lines.filter(({ kind }) => kind === 'undo'))
  for (const one of runs) {
    for (const { step, status } of one.run.undo) {
      if (status === 'owed' && hasCommands(one, step) && one.run.endedAt !== undefined)
        finding.blame(`run ${one.run.id}, undo of ${step}`, 'is still owed, and the run has ended')
    }
    const mine = [...undone].filter(({ runId }) => runId === one.run.id)
    for (const round of roundsOf(one)) {
      for (const { step, status } of lastWordsIn(round)) {
        if (!hasCommands(one, step)) continue
        finding.look('undos')
        const about = `run ${one.run.id}, undo of ${step}${round.number === 0 ? '' : ` in round ${String(round.number)}`}`
        const lines = mine.filter((effect) => effect.step === step && isIn(round, effect))
        for (const line of lines) undone.delete(line)
        if (status === 'done' && lines.length === 0)
          finding.blame(about, 'is done by the run, and the far side saw nothing of it')
        const told = round.events.some(
          ({ body }) => body.type === 'undo' && body.item.step === step && body.item.status === 'running',
        )
        if (lines.length > 0 && !told) finding.blame(about, 'was run, and no event of the run says so')
        const isBehind = round.number < one.run.round
        if (status === 'owed' && isBehind) finding.blame(about, 'is still owed, and the round has ended')
      }
    }
  }
  const left = new Set([...undone].map(({ runId, step }) => `run ${runId}, undo of ${step}`))
  for (const about of left) finding.blame(about, 'was run, and the run never owed it')
}

/** What was last told of each undo: of a group of environments there are several. */
function lastWordsIn({ events }: Round): UndoItem[] {
  const last = new Map<string, UndoItem>()
  for (const { body } of events) if (body.type === 'undo') last.set(`${body.item.step}/${body.item.environment ?? ''}`, body.item)
  return [...last.values()]
}

/** A deployment is taken back by its environment, which writes no line. */
function hasCommands({ plan }: RunMemory, step: string): boolean {
  return plan?.steps.find(({ id }) => id === step)?.undo !== undefined
}
