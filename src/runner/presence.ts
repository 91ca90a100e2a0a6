/** Tells the server every two seconds that this runner is there. */
import { presenceIntervalMs, type PresenceReport } from '../contract/runner-api.ts'
import { messageOf } from '../domain/errors.ts'
import type { Log } from './log.ts'
import type { ServerClient } from './server-client.ts'
import { pause } from './stop.ts'

export interface PresenceDeps {
  server: Pick<ServerClient, 'reportPresence'>
  report(): PresenceReport
  log: Log
}

/** Resolves when the signal has said stop. A server that is away is said once, and so is its return. */
export async function reportPresence(deps: PresenceDeps, signal: AbortSignal): Promise<void> {
  let away = false
  while (!signal.aborted) {
    try {
      await deps.server.reportPresence(deps.report(), signal)
      if (away) deps.log.info({}, 'the server is back')
      away = false
    } catch (error) {
      if (!away && !signal.aborted)
        deps.log.warn({ error: messageOf(error) }, 'the server cannot be told that this runner is there')
      away = true
    }
    await pause(presenceIntervalMs, signal)
  }
}
