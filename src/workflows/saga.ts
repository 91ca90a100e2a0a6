import { CancellationScope } from '@temporalio/workflow'
import type { OwedUndo } from '../contract/run-workflow.ts'
import { BelayError } from '../domain/errors.ts'
import type { UndoItem } from '../domain/run-event.ts'
import type { News } from './news.ts'
import type { Insisted } from './insist.ts'

/** One thing that is owed: registered before its step begins, so the undo must bear "it never happened". */
export interface Owed {
  /** Names what is owed: the same key twice is owed once. */
  key: string
  step: string
  /** Of a group: the one that it takes back. */
  environment?: string
  /** What it does, in words for people. */
  does: string
  /** The same as data, for whoever has to do it in place of this workflow. */
  how: OwedUndo['how']
  /** `again`: it failed before, and a person wants it tried once more. */
  undo(again: boolean): Promise<Insisted>
}

/** The undo stack of a run: last in, first out; one that fails does not stop the others. */
export interface UndoStack {
  /** Called before the step starts, at every attempt. */
  owe(owed: Owed): void
  /** What another workflow owed; cut short, an undo is owed again. Nothing may be owed before. */
  restore(items: readonly { owed: Owed; status: UndoItem['status']; reason?: string | undefined }[]): void
  /** The whole stack as data, oldest first. */
  remains(): OwedUndo[]
  /** Nothing of this is taken back any more; with `steps` only what those owe. */
  discharge(steps?: ReadonlySet<string>): void
  /** Takes one back now, for a step that runs again after it. What fails is still owed, and tried once more at the end. */
  undoFirst(key: string): Promise<Insisted>
  unwind(): Promise<{ ran: boolean; failed: string[] }>
  /** The undos that failed and are not settled, the one whose turn it is first: it was owed last. */
  blocked(): UndoItem[]
  /** Tries the first blocked one again, with all that it insists on; says what came of it. `note`: who wants it, and why. */
  retry(note: string): Promise<Insisted>
  /** Gives the first blocked one up for good. */
  skip(note: string): void
  list(): UndoItem[]
}

export function createUndoStack(news: News): UndoStack {
  type Entry = Owed & { status: UndoItem['status']; reason?: string }
  const stack: Entry[] = []

  function show(owed: Entry, status: UndoItem['status'], reason?: string): void {
    owed.status = status
    if (reason !== undefined) owed.reason = reason
    // People see one line for each step, or environment of its group: of several attempts at it, the one that is blocked.
    const isSame = (other: Entry): boolean => other.step === owed.step && other.environment === owed.environment
    const blocked = stack.findLast((other) => isSame(other) && other.status === 'failed')
    news.tell({ type: 'undo', item: itemOf(blocked ?? owed) })
  }

  function firstBlocked(): Entry {
    const found = stack.findLast(({ status }) => status === 'failed')
    if (found === undefined) throw new BelayError({ code: 'internal', message: 'no undo is blocked' })
    return found
  }

  async function carryOut(owed: Entry, again: boolean, note?: string): Promise<Insisted> {
    show(owed, 'running', note)
    const result = await owed.undo(again)
    show(owed, result.type, result.type === 'failed' ? result.reason : undefined)
    return result
  }

  return {
    owe(owed) {
      if (stack.some((known) => known.key === owed.key && known.status === 'owed')) return
      const entry = { ...owed, status: 'owed' as const }
      stack.push(entry)
      show(entry, 'owed')
    },
    restore(items) {
      for (const { owed, status, reason } of items) {
        const entry = { ...owed, status: status === 'running' ? ('owed' as const) : status }
        stack.push(entry)
        show(entry, entry.status, reason)
      }
    },
    remains: () => stack.map((entry) => ({ ...itemOf(entry), key: entry.key, how: entry.how })),
    discharge(steps) {
      for (const owed of stack) {
        if (owed.status === 'owed' && steps?.has(owed.step) !== false) show(owed, 'discharged')
      }
    },
    undoFirst(key) {
      const owed = stack.findLast((entry) => entry.key === key && entry.status === 'owed')
      if (owed === undefined) return Promise.resolve({ type: 'done' })
      return CancellationScope.nonCancellable(async () => {
        const result = await carryOut(owed, false)
        if (result.type === 'failed') show(owed, 'owed', result.reason)
        return result
      })
    },
    unwind() {
      return CancellationScope.nonCancellable(async () => {
        const failed: string[] = []
        let ran = false
        for (const owed of stack.toReversed()) {
          if (owed.status !== 'owed') continue
          ran = true
          const result = await carryOut(owed, false)
          if (result.type === 'failed') failed.push(owed.step)
        }
        return { ran, failed }
      })
    },
    blocked: () =>
      stack
        .filter(({ status }) => status === 'failed')
        .toReversed()
        .map(itemOf),
    retry: (note) => CancellationScope.nonCancellable(() => carryOut(firstBlocked(), true, note)),
    skip: (note) => show(firstBlocked(), 'skipped', note),
    list: () => stack.map(itemOf),
  }
}

function itemOf(owed: Pick<Owed, 'step' | 'environment' | 'does'> & Pick<UndoItem, 'status' | 'reason'>): UndoItem {
  const { step, environment, does, status, reason } = owed
  const group = environment === undefined ? {} : { environment }
  return { step, ...group, does, status, ...(reason === undefined ? {} : { reason }) }
}
