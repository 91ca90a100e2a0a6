/** Steps of `finally`: once in each round of a run that had something to carry out, more often only where one was cut short. */
import type { Effect } from '../../effects.ts'
import type { FindingWriter } from '../../finding.ts'
import type { Memory, RunMemory } from '../../memory.ts'
import { begunIn, roundsOf, type Round } from '../../rounds.ts'
import { epochsOf } from './commands.ts'

export function checkFinally(memory: Memory, finding: FindingWriter): void {
  const notes = memory.effects.lines.filter(({ kind }) => kind === 'finally')
  for (const one of memory.runs) {
    const mine = notes.filter(({ runId }) => runId === one.run.id)
    for (const { id, statuses, skip } of one.plan?.finally ?? []) {
      if (skip !== undefined || statuses.length > 0) continue
      const ofStep = mine.filter(({ step }) => step === id)
      const rounds = roundsOf(one)
      for (const { number } of rounds) checkRound(memory, { one, step: id, rounds, number, notes: ofStep }, finding)
      const late = ofStep.find(({ attempt }) => attempt > one.run.round + 1)
      if (late !== undefined) {
        const facts = `ran as attempt ${String(late.attempt)}, and the run went on ${String(one.run.round)} times`
        finding.blame(`run ${one.run.id}, finally ${id}`, facts)
      }
    }
  }
}

interface Looked {
  one: RunMemory
  step: string
  rounds: readonly Round[]
  number: number
  notes: readonly Effect[]
}

function checkRound(memory: Memory, { one, step, rounds, number, notes }: Looked, finding: FindingWriter): void {
  const isOver = one.run.endedAt !== undefined || number < one.run.round
  if (!isOver) return
  const attempt = number + 1
  const ran = notes.filter((note) => note.attempt === attempt).length
  const about = `run ${one.run.id}, finally ${step} of round ${String(number)}`
  finding.look('finally')
  // It could not be begun, as on a full disk, and the run says so.
  const isErrored = one.steps.some((row) => row.step === step && row.attempt === attempt && row.status === 'errored')
  // A round that was ended before it had read its plan has none.
  if (ran === 0 && !isErrored && begunIn(rounds, number).size > 0) finding.blame(about, 'was not carried out')
  const epochs = epochsOf(memory, one, step, attempt)
  const recovered = recoveriesOf(memory, one, number)
  const allowed = Math.max(1, epochs.length) + recovered
  if (ran > allowed) {
    const under = `it ran under the epochs [${epochs.join(', ')}], and was recovered ${String(recovered)} times`
    finding.blame(about, `was carried out ${String(ran)} times; ${under}`)
  }
}

function recoveriesOf({ executions }: Memory, { run }: RunMemory, number: number): number {
  const id = `recovery/${run.id}${number === 0 ? '' : `/retry-${String(number)}`}`
  return executions.filter(({ workflowId }) => workflowId === id).length
}
