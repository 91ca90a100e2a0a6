import { CancellationScope } from '@temporalio/workflow'
import type { UndoItem } from '../domain/run-event.ts'
import type { News } from './news.ts'
import type { Insisted } from './insist.ts'

/** One thing that is owed: registered before its step begins, so the undo must bear "it never happened". */
export interface Owed {
  /** Names what is owed: the same key twice is owed once. */
  key: string
  step: string
  /** What it does, in words for people. */
  does: string
  undo(): Promise<Insisted>
}

/** The undo stack of a run: last in, first out; one that fails does not stop the others. */
export interface UndoStack {
  /** Called before the step starts, at every attempt. */
  owe(owed: Owed): void
  /** Nothing of this is taken back any more. */
  discharge(): void
  unwind(): Promise<{ ran: boolean; failed: string[] }>
  list(): UndoItem[]
}

export function createUndoStack(news: News): UndoStack {
  const stack: (Owed & { status: UndoItem['status']; reason?: string })[] = []

  function show(owed: (typeof stack)[number], status: UndoItem['status'], reason?: string): void {
    owed.status = status
    if (reason !== undefined) owed.reason = reason
    news.tell({ type: 'undo', item: itemOf(owed) })
  }

  return {
    owe(owed) {
      if (stack.some((known) => known.key === owed.key && known.status === 'owed')) return
      const entry = { ...owed, status: 'owed' as const }
      stack.push(entry)
      show(entry, 'owed')
    },
    discharge() {
      for (const owed of stack) if (owed.status === 'owed') show(owed, 'discharged')
    },
    unwind() {
      return CancellationScope.nonCancellable(async () => {
        const failed: string[] = []
        let ran = false
        for (const owed of stack.toReversed()) {
          if (owed.status !== 'owed') continue
          ran = true
          show(owed, 'running')
          const result = await owed.undo()
          if (result.type === 'failed') failed.push(owed.step)
          show(owed, result.type, result.type === 'failed' ? result.reason : undefined)
        }
        return { ran, failed }
      })
    },
    list: () => stack.map(itemOf),
  }
}

function itemOf(owed: { step: string; does: string; status: UndoItem['status']; reason?: string }): UndoItem {
  const { step, does, status, reason } = owed
  return { step, does, status, ...(reason === undefined ? {} : { reason }) }
}
