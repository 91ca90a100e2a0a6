/** Waits that grow: doubled from `first` up to `most`, by how often it has failed. */
export function backoffMs(failures: number, limits: { first: number; most: number }): number {
  return Math.min(limits.first * 2 ** Math.min(Math.max(failures - 1, 0), 30), limits.most)
}

/** Resolves when the time is up or the signal is aborted. */
export function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) {
      resolve()
      return
    }
    const timer = setTimeout(finish, ms)
    signal.addEventListener('abort', finish, { once: true })
    function finish(): void {
      clearTimeout(timer)
      signal.removeEventListener('abort', finish)
      resolve()
    }
  })
}
