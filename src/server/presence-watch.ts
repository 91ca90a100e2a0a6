/** Notices runners that have fallen silent, so that people are told: of several servers, one tells. */
import type { Logger } from 'pino'
import { presenceIntervalMs, presenceTimeoutMs } from '../contract/runner-api.ts'
import { messageOf } from '../domain/errors.ts'
import type { Store } from '../store/store.ts'
import { pause } from './backoff.ts'

export interface PresenceWatch {
  stop(): Promise<void>
}

export function startPresenceWatch(deps: { store: Pick<Store, 'presence'>; log: Logger }): PresenceWatch {
  const stopping = new AbortController()
  const done = watch(deps, stopping.signal)
  return {
    async stop() {
      stopping.abort()
      await done
    },
  }
}

async function watch({ store, log }: Parameters<typeof startPresenceWatch>[0], signal: AbortSignal): Promise<void> {
  // Who could not report while no server was there is given the time to.
  await pause(presenceTimeoutMs, signal)
  while (!signal.aborted) {
    try {
      for (const runner of await store.presence.expire(Date.now() - presenceTimeoutMs))
        log.warn({ runner }, 'a runner is INACTIVE')
    } catch (error) {
      log.error({ error: messageOf(error) }, 'runners cannot be watched; tried again')
    }
    await pause(presenceIntervalMs, signal)
  }
}
