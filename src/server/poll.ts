/** For machines that no hook can reach: looks at the branch heads, and starts a run for each new one. */
import type { Logger } from 'pino'
import type { Config, ProjectConfig } from '../config/config.ts'
import { messageOf } from '../domain/errors.ts'
import { Trigger } from '../domain/trigger.ts'
import type { Store } from '../store/store.ts'
import { backoffMs, pause } from './backoff.ts'
import { fetchHeads } from './git-remote.ts'

export interface PollDeps {
  config: Config
  store: Store
  log: Logger
}

export interface Poller {
  /** Ends after the look that is under way. */
  stop(): Promise<void>
}

/** At most this many branches of a project are followed. */
const branchLimit = 5_000
const retry = { first: 5_000, most: 300_000 } as const

interface PollState {
  project: ProjectConfig
  everyMs: number
  dueAt: number
  failures: number
  /** It was looked at before, in this process, maybe with no branch there. */
  seen: boolean
}

/** Starts at once; one repository is asked at a time. */
export function startPolling(deps: PollDeps): Poller {
  const stopping = new AbortController()
  const done = loop(deps, stopping.signal)
  return {
    async stop() {
      stopping.abort()
      await done
    },
  }
}

async function loop(deps: PollDeps, signal: AbortSignal): Promise<void> {
  const states = Object.values(deps.config.projects).flatMap((project): PollState[] =>
    project.pollMs === undefined ? [] : [{ project, everyMs: project.pollMs, dueAt: 0, failures: 0, seen: false }],
  )
  while (states.length > 0 && !signal.aborted) {
    const next = states.reduce((soonest, state) => (state.dueAt < soonest.dueAt ? state : soonest))
    await pause(Math.max(0, next.dueAt - Date.now()), signal)
    if (!signal.aborted) await look(deps, next)
  }
}

async function look(deps: PollDeps, state: PollState): Promise<void> {
  try {
    await pollProject(deps, state.project, { isFirst: !state.seen })
    state.seen = true
    state.failures = 0
    state.dueAt = Date.now() + state.everyMs
  } catch (error) {
    state.failures += 1
    const waitingMs = Math.max(state.everyMs, backoffMs(state.failures, retry))
    state.dueAt = Date.now() + waitingMs
    deps.log.warn({ project: state.project.name, error: messageOf(error), retryInMs: waitingMs }, 'polling failed')
  }
}

/** One look. The very first one, by this store, only notes what is there. */
export async function pollProject(
  { store, log }: PollDeps,
  project: ProjectConfig,
  { isFirst }: { isFirst: boolean },
): Promise<void> {
  // Before the look: what a hook notes meanwhile is newer than what the look may show.
  const known = await store.polls.heads(project.name)
  const heads = Object.entries(await fetchHeads(project.repository))
  if (heads.length > branchLimit)
    log.warn({ project: project.name, branches: heads.length }, `only ${String(branchLimit)} are followed`)
  const notesOnly = isFirst && Object.keys(known).length === 0
  for (const [branch, sha] of heads.slice(0, branchLimit)) {
    const noted = Object.hasOwn(known, branch) ? known[branch] : undefined
    if (noted === sha) continue
    const trigger = notesOnly ? undefined : Trigger.safeParse(triggerOf(branch, sha))
    if (trigger?.success === false) log.warn({ project: project.name, sha }, 'a branch with an unusable name is not followed')
    await store.polls.seen({
      project: project.name,
      branch,
      sha,
      ...(noted === undefined ? {} : { known: noted }),
      ...(trigger?.success === true ? { trigger: trigger.data } : {}),
    })
    if (trigger?.success === true) log.info({ project: project.name, branch, sha }, 'polling found a new head')
  }
}

function triggerOf(branch: string, sha: string): Trigger {
  return {
    event: 'push',
    source: 'poll',
    ref: `refs/heads/${branch}`,
    branch,
    sha,
    actor: { id: 'belay', name: 'polling' },
    title: sha.slice(0, 12),
  }
}
