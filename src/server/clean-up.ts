/** Removes what is kept no longer: every hour by itself, and when an admin asks for it. */
import { randomUUID } from 'node:crypto'
import type { Logger } from 'pino'
import type { Config } from '../config/config.ts'
import { placesOf } from '../config/places.ts'
import { defaults } from '../domain/defaults.ts'
import { BelayError, messageOf } from '../domain/errors.ts'
import { addUp, type Keep, type SweepKind, type Swept } from '../domain/keep.ts'
import type { Store } from '../store/store.ts'
import { pause } from './backoff.ts'

export interface CleanUpDeps {
  config: Config
  store: Store
  log: Logger
  /** Of this machine alone, whoever else is at it. Absent: everything, one server at a time. */
  only?: readonly SweepKind[]
  /** For tests. */
  times?: { firstAfterMs: number; everyMs: number }
}

/** A server that dies in the middle keeps the others waiting for as long. */
const leaseMs = 60_000
const renewAfterMs = 15_000

export function keepOf(config: Config): Keep {
  return config.keep ?? defaults.keep
}

/** What would go now; changes nothing. */
export async function previewCleanUp({ config, store }: CleanUpDeps): Promise<Swept[]> {
  const swept: Swept[] = []
  for await (const some of store.housekeeping.sweep({ keep: keepOf(config), dry: true, images: imagesOf(config) }))
    swept.push(some)
  return addUp(swept)
}

export interface CleanUpRequest {
  /** Who asked, for the audit. */
  actor: string
  /** Stops between two batches, also of what stays. */
  signal: AbortSignal
}

/**
 * Removes until nothing is left to remove, or it is told to stop (`more`). What went is one row of the audit. Throws `conflict`
 * while another server is at it.
 */
export async function cleanUp(deps: CleanUpDeps, request: CleanUpRequest): Promise<{ swept: Swept[]; more: boolean }> {
  const { housekeeping } = deps.store
  const owner = randomUUID()
  if (deps.only === undefined && !(await housekeeping.lease({ owner, leaseMs }))) throw busy()
  const swept: Swept[] = []
  const ended = await tried(() => sweep(deps, { owner, signal: request.signal, swept }))
  // What went has gone, whatever came after it; and whatever came of that, the next one has its turn.
  const told = await tried(() => tell(deps, request.actor, addUp(swept)))
  const released = await tried(() => housekeeping.release(owner))
  // The first fault: the others may have come of it.
  const failed = [ended, told, released].find((part) => 'error' in part)
  if (failed !== undefined && 'error' in failed) throw failed.error
  return { swept: addUp(swept), more: 'value' in ended && ended.value }
}

async function tried<T>(work: () => Promise<T>): Promise<{ value: T } | { error: Error }> {
  try {
    return { value: await work() }
  } catch (error) {
    return { error: error instanceof Error ? error : new Error(messageOf(error), { cause: error }) }
  }
}

async function sweep(
  { config, store, only }: CleanUpDeps,
  { owner, signal, swept }: { owner: string; signal: AbortSignal; swept: Swept[] },
): Promise<boolean> {
  const { housekeeping } = store
  let renewedAt = performance.now()
  let more = false
  const mayGoOn = async (): Promise<boolean> => {
    if (signal.aborted) return false
    if (only !== undefined || performance.now() - renewedAt < renewAfterMs) return true
    renewedAt = performance.now()
    return housekeeping.lease({ owner, leaseMs })
  }
  const request = { keep: keepOf(config), dry: false, images: imagesOf(config), only }
  const goesOn = async () => {
    more = !(await mayGoOn())
    return !more
  }
  for await (const some of housekeeping.sweep({ ...request, goesOn })) swept.push(some)
  return more
}

async function tell({ store, log }: CleanUpDeps, actor: string, swept: readonly Swept[]): Promise<void> {
  if (swept.length === 0) return
  const data = Object.fromEntries(swept.map(({ kind, count, bytes }) => [kind, { count, bytes }]))
  await store.audit.write({ actor, action: 'gc', subject: 'store', data })
  log.info(data, 'cleaned up')
}

function imagesOf(config: Config): string {
  return placesOf(config.data, { root: false }).images
}

function busy(): BelayError {
  return new BelayError({
    code: 'conflict',
    message: 'a clean-up is under way',
    hint: 'Ask again in a minute; `belay gc --dry-run` tells what is left.',
    retryable: true,
  })
}

/** Ends after the batch that is under way. */
export function startCleanUp(deps: CleanUpDeps): { stop(): Promise<void> } {
  const stopping = new AbortController()
  const done = loop(deps, stopping.signal)
  return {
    async stop() {
      stopping.abort()
      await done
    },
  }
}

async function loop(deps: CleanUpDeps, signal: AbortSignal): Promise<void> {
  const { firstAfterMs, everyMs } = deps.times ?? defaults.cleanUp
  // Not at the same moment on all machines.
  await pause(firstAfterMs * (1 + Math.random() / 2), signal)
  while (!signal.aborted) {
    try {
      await cleanUp(deps, { actor: 'belay', signal })
    } catch (error) {
      const isTurn = error instanceof BelayError && error.code === 'conflict'
      if (!isTurn) deps.log.error({ error: messageOf(error) }, 'the clean-up broke off; tried again later')
    }
    await pause(everyMs, signal)
  }
}
