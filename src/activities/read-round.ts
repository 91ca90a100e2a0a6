import type { RunEventBody, UndoItem } from '../domain/run-event.ts'
import type { Run, StepRow, Store } from '../store/store.ts'

/** What a run told since it went on last; of its first round, all. */
export interface Round {
  /** The highest epoch that the rounds before told of. */
  before: number
  /** Where its workspace was opened last, if it was not closed since. */
  runner?: string
  /** Did this attempt begin, or come to an end, in this round? */
  has(row: Pick<StepRow, 'step' | 'attempt'>): boolean
  /** Is this owed, or was it settled, in this round? */
  owes(item: Pick<UndoItem, 'step' | 'environment'>): boolean
}

export async function readRound({ runs }: Pick<Store, 'runs'>, { id, round }: Pick<Run, 'id' | 'round'>): Promise<Round> {
  const attempts = new Set<string>()
  const undo = new Set<string>()
  let [before, highest] = [0, 0]
  let runner: string | undefined
  for (let after = 0; ;) {
    const events = await runs.events(id, { after, limit: 1_000 })
    for (const { seq, source, epoch, body } of events) {
      after = seq
      if (source === 'store' && epoch === round && body.type === 'run' && body.status === 'queued') {
        // Here the round begins; its workspace is another.
        before = highest
        runner = undefined
        for (const told of [attempts, undo]) told.clear()
      }
      highest = Math.max(highest, epochOf(body))
      // What the run's workflow of an earlier round had still to tell is history, and so is a runner's late news.
      const isLate = (source === 'run' && epoch < round) || (epochOf(body) > 0 && epochOf(body) <= before)
      if (isLate) continue
      if (body.type === 'undo') undo.add(nameOf(body.item))
      if (body.type === 'workspace') runner = body.status === 'opened' ? body.runner : undefined
      if (body.type === 'step') attempts.add(attemptOf(body.change))
    }
    if (events.length === 0) break
  }
  return {
    before,
    ...(runner === undefined ? {} : { runner }),
    has: (row) => round === 0 || attempts.has(attemptOf(row)),
    owes: (item) => round === 0 || undo.has(nameOf(item)),
  }
}

/** 0: it is of no workspace. */
function epochOf(body: RunEventBody): number {
  if (body.type === 'workspace') return body.epoch
  return body.type === 'step' ? body.change.epoch : 0
}

function attemptOf({ step, attempt }: { step: string; attempt: number }): string {
  return `${step}/${String(attempt)}`
}

function nameOf({ step, environment = '' }: Pick<UndoItem, 'step' | 'environment'>): string {
  return `${step}/${environment}`
}
