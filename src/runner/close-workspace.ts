/** The end of a run on this runner: nothing of it goes on, and nothing of it is left but logs on their way. */
import type { JournalRecord } from './journal.ts'
import { hadSteps, killTagged, tagOf } from './leftovers.ts'
import type { RunnerDeps } from './runner-deps.ts'

type CloseDeps = Pick<RunnerDeps, 'inFlight' | 'journals' | 'workspaces' | 'stops' | 'groups'>

export interface CloseInput {
  runId: string
  /** The directory stays as it is. */
  keep?: boolean | undefined
  /** The last epoch that ends; default: the one of now. A run that goes on meanwhile, after an end, has a later one. */
  upTo?: number
}

/** Twice: nothing to do. Throws `unavailable` if the directory cannot be removed. */
export async function closeWorkspace(deps: CloseDeps, input: CloseInput): Promise<void> {
  const { runId, keep = false, upTo = lastEpochOf(deps, runId) } = input
  if (lastEpochOf(deps, runId) > upTo) return
  await deps.inFlight.stopRun(runId)
  const epochs = epochsOf(recordsOf(deps, runId).filter(hadSteps)).filter((epoch) => epoch <= upTo)
  for (const epoch of epochs) await killTagged(tagOf({ runId, epoch }))
  for (const epoch of epochs) await deps.groups?.endAll(`${runId}.e${String(epoch)}.`)
  if (keep) return
  // First: a directory that cannot be removed must not stop the steps of a run that goes on after its end.
  deps.stops.forget(runId)
  await deps.workspaces.remove(runId, upTo)
  deps.journals.remove(runId, upTo)
}

/** The highest epoch that this runner has had of the run; 0 if it has none. */
export function lastEpochOf({ workspaces, journals }: Pick<RunnerDeps, 'workspaces' | 'journals'>, runId: string): number {
  return Math.max(workspaces.findEpoch(runId) ?? 0, ...epochsOf(recordsOf({ journals }, runId)))
}

/** Of the journals that can be read: one that cannot goes with the others. */
function recordsOf({ journals }: Pick<RunnerDeps, 'journals'>, runId: string): JournalRecord[] {
  return journals.listReadable(() => undefined, runId)
}

function epochsOf(records: readonly JournalRecord[]): number[] {
  return [...new Set(records.map(({ begun }) => begun.epoch))]
}
