/** Resolves after that time, or as soon as the signal says that it is over. */
export function pause(ms: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve()
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer)
      signal.removeEventListener('abort', done)
      resolve()
    }
    const timer = setTimeout(done, ms)
    signal.addEventListener('abort', done, { once: true })
  })
}

/** Asks until there is an answer; undefined if it is over before. */
export async function waitFor<T>(ask: () => T | undefined | Promise<T | undefined>, signal: AbortSignal): Promise<T | undefined> {
  while (!signal.aborted) {
    const answer = await ask()
    if (answer !== undefined) return answer
    await pause(50, signal)
  }
  return undefined
}
