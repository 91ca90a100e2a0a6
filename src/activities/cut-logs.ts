import { BelayError } from '../domain/errors.ts'
import type { LogInfo, Store } from '../store/store.ts'

/** Whoever would have ended these logs is gone: they end with a line that says so. What comes of them later is dropped. */
export async function cutLogs(
  store: Pick<Store, 'runs' | 'logs'>,
  { runId, epoch, runner }: { runId: string; epoch: number; runner: string },
): Promise<void> {
  const run = await store.runs.find(runId)
  const plan = run?.planDigest === undefined ? undefined : await store.runs.findPlan(run.planDigest)
  if (plan === undefined) return
  const line = Buffer.from(`\n[belay] cut off: runner "${runner}" was lost\n`)
  for (const { id } of [...plan.steps, ...plan.finally]) {
    for (const log of await store.logs.list(runId, id)) if (!log.closed && log.epoch < epoch) await end(store, log, line)
  }
}

async function end({ logs }: Pick<Store, 'logs'>, log: LogInfo, bytes: Buffer): Promise<void> {
  const { sizeBytes: _size, closed: _closed, truncated: _truncated, ...key } = log
  try {
    for (;;) {
      // Nothing is taken there, and the answer says where the log ends: it may have grown since it was listed.
      const { end: offset } = await logs.append(key, { offset: Number.MAX_SAFE_INTEGER, bytes: Buffer.alloc(0), final: false })
      const { gap } = await logs.append(key, { offset, bytes, final: true })
      // A gap: another process was faster, so its writer is not quite gone.
      if (!gap) return
    }
  } catch (error) {
    // A newer log of the same attempt has begun, or its writer has just ended it.
    if (error instanceof BelayError && (error.code === 'stale' || error.code === 'conflict')) return
    throw error
  }
}
