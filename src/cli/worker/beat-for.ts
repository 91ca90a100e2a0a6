import type { PollingWorker } from '../../../workers/polling.ts'
import { startHeartbeat } from './heartbeat.ts'

export interface BeatOptions {
  env: NodeJS.ProcessEnv
  temporal: { address: string; namespace: string }
  /** What else may be wrong. */
  alive?: (() => Promise<string | undefined>) | undefined
}

/** Says in the file BELAY_HEALTH_FILE how this worker is; without one nobody asks. */
export async function beatFor(worker: PollingWorker, { env, temporal, alive }: BeatOptions): Promise<{ stop(): Promise<void> }> {
  const file = env['BELAY_HEALTH_FILE']
  if (!file) return { stop: () => Promise.resolve() }
  const { watchPolling } = await import('../../../workers/polling.ts')
  const watch = watchPolling(worker, temporal)
  const heartbeat = startHeartbeat({
    file,
    role: worker.role,
    findTrouble: async () => (await watch.findTrouble()) ?? (await alive?.()),
  })
  return {
    async stop() {
      await heartbeat.stop()
      await watch.close()
    },
  }
}
