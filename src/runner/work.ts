/** What segments and scripts have in common: the workspace is ours, older work on it has ended, a slot and a journal are held. */
import type { WorkspaceRef } from '../contract/activities.ts'
import type { Journal } from './journal.ts'
import type { RunnerDeps, Task } from './runner-deps.ts'
import { precedence } from './slots.ts'
import type { WorkspaceDirs } from './workspace/workspaces.ts'

export interface WorkPlace {
  dirs: WorkspaceDirs
  journal: Journal
  /** Says stop for the task, for the runner, or for newer work. */
  signal: AbortSignal
}

export interface WorkOrder {
  workspace: WorkspaceRef
  work: 'segment' | 'script'
  /** Unique among what may go on at once in the workspace. */
  name: string
}

/**
 * Does the work in its place; with `place.signal` aborted already if it was stopped before there was a slot. Throws `stale`
 * or `not_found` as the lease says, before anything else happens.
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
  const signal = AbortSignal.any([task.signal, deps.draining, entry.signal])
  try {
    await entry.clear
    const journal = deps.journals.begin({ ...workspace, work: order.work, token: task.token })
    try {
      const giveBack = await deps.slots.take(precedence[order.work], signal)
      try {
        return await work({ dirs, journal, signal })
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
