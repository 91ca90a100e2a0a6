/** What segments and scripts have in common: the workspace is ours, older work on it has ended, a slot and a journal are held. */
import type { WorkspaceRef } from '../contract/activities.ts'
import { CutShort } from './cut-short.ts'
import type { Journal } from './journal.ts'
import type { RunnerDeps, Task } from './runner-deps.ts'
import { precedence } from './slots.ts'
import { stopReasonOf, stopWith } from './stop.ts'
import type { WorkspaceDirs } from './workspace/workspaces.ts'

export interface WorkPlace {
  dirs: WorkspaceDirs
  journal: Journal
  /** Says stop for the task, for the runner, for newer work, or because the watchdog has cut a part of this one. */
  signal: AbortSignal
  /**
   * False, and stopped, if somebody else may have been given the work: to be asked before anything of it begins. A process that
   * stood still for a while does not know by itself.
   */
  confirm(): Promise<boolean>
}

export interface WorkOrder {
  workspace: WorkspaceRef
  work: 'segment' | 'script'
  /** Unique among what may go on at once in the workspace. */
  name: string
}

/**
 * Does the work in its place; with `place.signal` aborted already if it was stopped before there was a slot. Throws `stale`
 * or `not_found` as the lease says, before anything else happens, and `CutShort` if the watchdog has ended a part of it.
 */
export async function doWork<T>(
  deps: RunnerDeps,
  order: WorkOrder,
  task: Task,
  work: (place: WorkPlace) => Promise<T>,
): Promise<T> {
  const { workspace } = order
  const dirs = await deps.workspaces.lease(workspace)
  const entry = deps.inFlight.enter({ ...workspace, name: order.name })
  const cut = new AbortController()
  const signal = AbortSignal.any([task.signal, deps.draining, entry.signal, cut.signal])
  try {
    await entry.clear
    const written = deps.journals.begin({ ...workspace, work: order.work, token: task.token })
    const short = new CutShort()
    const journal = noteCuts(written, short, () => stopWith(cut, 'lost'))
    const confirm = async () => {
      const isOurs = await task.confirm(signal)
      if (!isOurs) stopWith(cut, 'lost')
      return isOurs
    }
    try {
      const giveBack = await deps.slots.take(precedence[order.work], signal)
      try {
        return await orCutShort(work({ dirs, journal, signal, confirm }), short, task)
      } finally {
        giveBack?.()
      }
    } finally {
      journal.returned()
    }
  } finally {
    entry.leave()
  }
}

/** The first cut stops the rest: it has been cut as well, or is about to be. */
function noteCuts(journal: Journal, short: CutShort, stop: () => void): Journal {
  return {
    ...journal,
    outcome(outcome) {
      short.outcomes.push(outcome)
      journal.outcome(outcome)
    },
    interrupted(step, by) {
      journal.interrupted(step, by)
      if (by === undefined) return
      short.interrupted.push(step)
      stop()
    },
  }
}

/** Once somebody has cancelled it there is nothing to run again. */
async function orCutShort<T>(work: Promise<T>, short: CutShort, task: Task): Promise<T> {
  const wasCut = () => short.interrupted.length > 0 && stopReasonOf(task.signal) !== 'cancelled'
  const result = await work.catch((error: unknown) => {
    throw wasCut() ? short : error
  })
  if (wasCut()) throw short
  return result
}
