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

/** Asks until there is an answer; undefined if the time is up or it is over before. */
export async function waitFor<T>(
  ask: () => T | undefined | Promise<T | undefined>,
  { ms, signal }: { ms: number; signal?: AbortSignal },
): Promise<T | undefined> {
  const deadline = Date.now() + ms
  while (signal?.aborted !== true && Date.now() < deadline) {
    const answer = await ask()
    if (answer !== undefined) return answer
    await pause(50, signal ?? never)
  }
  return undefined
}

const never = new AbortController().signal

/** Over as soon as one of these is. Held by them, unlike that of `AbortSignal.any`, which may be collected while it is waited for. */
export function firstOf(...signals: AbortSignal[]): AbortSignal {
  const controller = new AbortController()
  const abort = () => controller.abort()
  for (const signal of signals) {
    if (signal.aborted) abort()
    else signal.addEventListener('abort', abort, { once: true })
  }
  return controller.signal
}
