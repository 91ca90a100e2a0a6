/** An opening: new work, so it waits behind everything that has begun. */
import type { OpenedWorkspace, OpenWorkspaceInput } from '../contract/activities.ts'
import { BelayError } from '../domain/errors.ts'
import type { RunnerDeps, Task } from './runner-deps.ts'
import { precedence } from './slots.ts'

/** Throws what `Workspaces.open` throws; stopped: `unavailable`, so that it is tried again, here or elsewhere. */
export async function openWorkspace(deps: RunnerDeps, input: OpenWorkspaceInput, task: Task): Promise<OpenedWorkspace> {
  const entry = deps.inFlight.enter({ ...input.workspace, name: 'opening' })
  const signal = AbortSignal.any([task.signal, deps.draining, entry.signal])
  try {
    await entry.clear
    const journal = deps.journals.begin({ ...input.workspace, work: 'opening', token: task.token })
    try {
      const giveBack = await deps.slots.take(precedence.opening, signal)
      if (giveBack === undefined)
        throw new BelayError({ code: 'unavailable', message: 'the runner stopped this opening', retryable: true })
      try {
        const { before } = input
        const keepSince = before?.runner === deps.name ? before.since : undefined
        const { files, resumed, restored } = await deps.workspaces.open(input, { signal, keepSince })
        // A fresh directory is a fresh try: what had failed before is the workflow's to know.
        if (!resumed) deps.stops.forget(input.workspace.runId)
        return { runner: deps.name, files, ...(resumed ? { resumed } : {}), ...(restored ? { restored } : {}) }
      } finally {
        giveBack()
      }
    } finally {
      journal.returned()
    }
  } finally {
    entry.leave()
  }
}
