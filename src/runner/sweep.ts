/** Removes what a missed `closeWorkspace` left: the server says which runs have ended. */
import { z } from 'zod'
import { defaults } from '../domain/defaults.ts'
import { messageOf } from '../domain/errors.ts'
import { closeWorkspace } from './close-workspace.ts'
import type { RunnerDeps } from './runner-deps.ts'

/** Most run ids in one question. */
const batch = 1_000

/** Ids of the runs whose directories were removed. Throws what the server client throws. */
export async function sweep(deps: RunnerDeps): Promise<string[]> {
  deps.plans.sweep()
  await deps.workspaces.sweepMirrors(Date.now() - defaults.mirrorsMs)
  const journalled = deps.journals.list().map((record) => record.begun.runId)
  const here = new Set([...(await deps.workspaces.list()), ...journalled])
  const asked = [...here].filter((runId) => z.uuid().safeParse(runId).success)
  const removed: string[] = []
  for (let at = 0; at < asked.length; at += batch) {
    const closed = await deps.server.askClosed(asked.slice(at, at + batch))
    for (const runId of closed) {
      // An opening may have begun meanwhile, and what is at work is not swept.
      if (!here.has(runId) || deps.inFlight.has(runId)) continue
      await closeWorkspace(deps, runId)
      removed.push(runId)
    }
  }
  return removed
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
