/** Tells forges what became of their commits: rows written with the runs' states, delivered here, for hours if need be. */
import { randomUUID } from 'node:crypto'
import type { Logger } from 'pino'
import type { Config, ProjectConfig } from '../config/config.ts'
import { assertNever, messageOf } from '../domain/errors.ts'
import type { RunStatus } from '../domain/run.ts'
import type { CommitState, CommitStatus, CommitStatuses } from '../drivers/forges/forge.ts'
import { findForge } from '../drivers/forges/index.ts'
import { faultPoint } from '../process/fault-point.ts'
import type { CommitStatusNews, LeasedItem, Store } from '../store/store.ts'
import { backoffMs, pause } from './backoff.ts'

export interface OutboxDeps {
  config: Config
  store: Store
  log: Logger
  /** For tests. */
  limits?: Partial<typeof defaultLimits>
}

export interface Outbox {
  /** Ends after what is on its way; the rest waits for the next one. */
  stop(): Promise<void>
}

const defaultLimits = {
  first: 1_000,
  most: 5 * 60_000,
  /** What could not be told for this long is given up, and said so. */
  givenUpAfterMs: 24 * 3_600_000,
}
const batch = 10
/** Above the longest that a forge may be silent. */
const leaseMs = 60_000
const waitMs = 5_000

/** Starts at once. Several may run, in any processes: each item is leased by one of them, what was tried least first. */
export function startOutbox(deps: OutboxDeps): Outbox {
  const stopping = new AbortController()
  const done = loop(deps, randomUUID(), stopping.signal)
  return {
    async stop() {
      stopping.abort()
      await done
    },
  }
}

async function loop(deps: OutboxDeps, owner: string, signal: AbortSignal): Promise<void> {
  let failures = 0
  while (!signal.aborted) {
    try {
      const items = await deps.store.outbox.lease({ owner, leaseMs, limit: batch })
      await Promise.all(items.map((item) => deliver(deps, item, signal)))
      failures = 0
      if (items.length === 0) await orAborted(deps.store.outbox.wait(waitMs), signal)
    } catch (error) {
      failures += 1
      deps.log.error({ error: messageOf(error) }, 'the outbox cannot be read or written')
      await pause(backoffMs(failures, { first: 250, most: 5_000 }), signal)
    }
  }
}

/** What is waited for or the end, whichever is first; of the other nothing stays behind. */
async function orAborted(wait: Promise<void>, signal: AbortSignal): Promise<void> {
  let stop = (): void => undefined
  const aborted = new Promise<void>((resolve) => (stop = resolve))
  if (signal.aborted) stop()
  signal.addEventListener('abort', stop, { once: true })
  await Promise.race([wait, aborted]).finally(() => signal.removeEventListener('abort', stop))
}

/** Throws only if the store does. */
async function deliver({ config, store, log, limits }: OutboxDeps, item: LeasedItem, signal: AbortSignal): Promise<void> {
  const { payload } = item
  const { first, most, givenUpAfterMs } = { ...defaultLimits, ...limits }
  const receiver = findReceiver(config, payload)
  if (receiver === undefined) return store.outbox.done(item)
  const line = { project: payload.project, run: payload.runId, sha: payload.sha, status: payload.status }
  faultPoint('outbox.tell')
  const answer = await receiver.statuses.send(statusOf(config, receiver, payload), signal)
  faultPoint('outbox.told')
  switch (answer.type) {
    case 'taken':
      log.info(line, 'commit status told')
      return store.outbox.done(item)
    case 'refused':
      log.warn({ ...line, why: answer.why }, 'commit status refused')
      return store.outbox.done(item, answer.why)
    case 'later': {
      const retryAt = Date.now() + Math.max(backoffMs(item.attempts, { first, most }), answer.afterMs ?? 0)
      if (retryAt - item.createdAt > givenUpAfterMs) {
        log.error({ ...line, why: answer.why }, 'commit status given up')
        return store.outbox.done(item, answer.why)
      }
      log.warn({ ...line, why: answer.why, retryInMs: retryAt - Date.now() }, 'commit status not told yet')
      return store.outbox.retry(item, { retryAt, error: answer.why })
    }
    default:
      return assertNever(answer)
  }
}

interface Receiver {
  statuses: CommitStatuses
  project: ProjectConfig
  token: string
}

/** Nobody, if the operator gave no token, or the forge takes no statuses. */
function findReceiver(config: Config, { project: name }: CommitStatusNews): Receiver | undefined {
  const project = Object.hasOwn(config.projects, name) ? config.projects[name] : undefined
  const statuses = project === undefined ? undefined : findForge(project.forge)?.statuses
  if (project?.statusToken === undefined || statuses === undefined) return undefined
  return { statuses, project, token: project.statusToken }
}

function statusOf(config: Config, { project, token }: Receiver, news: CommitStatusNews): CommitStatus {
  return {
    repository: project.repository,
    ...(project.apiUrl === undefined ? {} : { apiUrl: project.apiUrl }),
    token,
    sha: news.sha,
    state: stateOf(news.status),
    context: news.pipeline === undefined ? 'belay' : `belay/${news.pipeline}`,
    description: describe(news),
    targetUrl: `${config.publicUrl}/api/v1/runs/${news.runId}`,
  }
}

export function stateOf(status: RunStatus): CommitState {
  switch (status) {
    case 'queued':
    case 'running':
      return 'pending'
    case 'succeeded':
    case 'skipped':
      return 'success'
    case 'failed':
    case 'rolled_back':
      return 'failure'
    case 'errored':
    case 'cancelled':
    case 'rollback_failed':
    case 'rollback_blocked':
      return 'error'
    default:
      return assertNever(status)
  }
}

/** One line; a reason may hold anything. */
function describe({ runNumber, status, reason }: CommitStatusNews): string {
  const text = `Run ${String(runNumber)} ${status.replace('_', ' ')}${reason === undefined ? '' : `: ${reason}`}`
  return text.replace(/[\p{Cc}\p{Cf}\s]+/gu, ' ').trim()
}
