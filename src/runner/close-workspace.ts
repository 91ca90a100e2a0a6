/** The end of a run on this runner: nothing of it goes on, and nothing of it is left but logs on their way. */
import { killTagged, tagOf } from './leftovers.ts'
import type { RunnerDeps } from './runner-deps.ts'

type CloseDeps = Pick<RunnerDeps, 'inFlight' | 'journals' | 'workspaces' | 'stops' | 'groups'>

/** Twice: nothing to do. `keep`: the directory stays as it is. */
export async function closeWorkspace(deps: CloseDeps, runId: string, keep = false): Promise<void> {
  await deps.inFlight.stopRun(runId)
  const tags = new Set(deps.journals.list(runId).map((record) => tagOf(record.begun)))
  for (const tag of tags) await killTagged(tag)
  await deps.groups?.endAll(`${runId}.`)
  if (keep) return
  await deps.workspaces.remove(runId)
  deps.journals.remove(runId)
  deps.stops.forget(runId)
}
