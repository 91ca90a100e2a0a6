/** Removes what a missed `closeWorkspace` left: the server says which runs have ended. */
import { z } from 'zod'
import { defaults } from '../domain/defaults.ts'
import { messageOf } from '../domain/errors.ts'
import { closeWorkspace, lastEpochOf } from './close-workspace.ts'
import type { RunnerDeps } from './runner-deps.ts'

/** Most run ids in one question. */
const batch = 1_000

/** Ids of the runs whose directories were removed; what cannot be removed is left for the next time. Throws what the server client throws. */
export async function sweep(deps: RunnerDeps): Promise<string[]> {
  await tried(deps, { what: 'plans' }, () => deps.plans.sweep())
  await tried(deps, { what: 'mirrors' }, () => deps.workspaces.sweepMirrors(Date.now() - defaults.mirrorsMs))
  const here = await findRuns(deps)
  const asked = [...here.keys()]
  const removed: string[] = []
  for (let at = 0; at < asked.length; at += batch) {
    const closed = await deps.server.askClosed(asked.slice(at, at + batch))
    for (const runId of closed) {
      const upTo = here.get(runId)
      // An opening may have begun meanwhile, and what is at work is not swept.
      if (upTo === undefined || deps.inFlight.has(runId)) continue
      if (await tried(deps, { runId }, () => closeWorkspace(deps, { runId, upTo }))) removed.push(runId)
    }
  }
  return removed
}

/** The runs that have anything here, each with its last epoch, read before the server is asked: a later one is not swept. */
async function findRuns(deps: RunnerDeps): Promise<Map<string, number>> {
  const journalled = deps.journals
    .listReadable((error) => deps.log.warn({ error: messageOf(error) }, 'a journal cannot be read'))
    .map(({ begun }) => begun.runId)
  const ids = [...new Set([...(await deps.workspaces.list()), ...journalled])].filter((id) => z.uuid().safeParse(id).success)
  const here = new Map<string, number>()
  for (const runId of ids) await tried(deps, { runId }, () => here.set(runId, lastEpochOf(deps, runId)))
  return here
}

/** One thing that cannot be swept does not keep the others. */
async function tried({ log }: Pick<RunnerDeps, 'log'>, what: object, work: () => unknown): Promise<boolean> {
  try {
    await work()
    return true
  } catch (error) {
    log.warn({ ...what, error: messageOf(error) }, 'could not be swept; tried again later')
    return false
  }
}

/** Sweeps now and then every `intervalMs`, until the signal says stop; a server that is away is asked again next time. */
export function sweepRegularly(deps: RunnerDeps, intervalMs: number, signal: AbortSignal): void {
  const once = () => {
    sweep(deps).then(
      (removed) => {
        if (removed.length > 0) deps.log.info({ runs: removed }, 'removed the directories of ended runs')
      },
      (error: unknown) => deps.log.warn({ error: messageOf(error) }, 'could not sweep; tried again later'),
    )
  }
  once()
  const timer = setInterval(once, intervalMs)
  signal.addEventListener('abort', () => clearInterval(timer), { once: true })
}
