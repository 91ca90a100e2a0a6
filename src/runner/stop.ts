/**
 * Why work is stopped, told as the reason of an AbortSignal: `cancelled` somebody asked for it; `drained` this runner is
 * being stopped; `lost` the activity is no longer ours (timed out, or its workspace was given out again).
 */
export type StopReason = 'cancelled' | 'drained' | 'lost'

export function stopWith(controller: AbortController, reason: StopReason): void {
  controller.abort(reason)
}

/** Undefined while the signal is silent. Anything that is not one of ours counts as `lost`. */
export function stopReasonOf(signal: AbortSignal): StopReason | undefined {
  if (!signal.aborted) return undefined
  const reason: unknown = signal.reason
  return reason === 'cancelled' || reason === 'drained' ? reason : 'lost'
}

/** Resolves when the signal says stop; never rejects. Forgets its listener when `until` aborts. */
export function whenStopped(signal: AbortSignal, until?: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve()
  return new Promise((resolve) => {
    signal.addEventListener('abort', () => resolve(), { once: true, ...(until === undefined ? {} : { signal: until }) })
  })
}

/** A longer timer would fire at once. */
const longestTimerMs = 2 ** 31 - 1

/** Waits; true if the time passed, false if the signal came first. */
export function pause(ms: number, signal?: AbortSignal): Promise<boolean> {
  if (signal?.aborted === true) return Promise.resolve(false)
  return new Promise((resolve) => {
    const timer = setTimeout(() => finish(true), Math.min(ms, longestTimerMs))
    const stop = () => finish(false)
    const finish = (passed: boolean) => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', stop)
      resolve(passed)
    }
    signal?.addEventListener('abort', stop, { once: true })
  })
}
