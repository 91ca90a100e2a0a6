import { stopped, throwIfStopped } from './stopped.ts'

/** Runs what bears the same key one after another, in the order of the calls. */
export type Exclusive = <T>(key: string, signal: AbortSignal, work: () => Promise<T>) => Promise<T>

/** A caller whose signal fires while it waits leaves the queue with `unavailable`. */
export function createExclusive(): Exclusive {
  const tails = new Map<string, Promise<void>>()

  return async (key, signal, work) => {
    const before = tails.get(key) ?? Promise.resolve()
    let leave = (): void => undefined
    const left = new Promise<void>((resolve) => {
      leave = resolve
    })
    const tail = before.then(() => left)
    tails.set(key, tail)
    try {
      await turnOrAbort(before, signal)
      return await work()
    } finally {
      leave()
      if (tails.get(key) === tail) tails.delete(key)
    }
  }
}

async function turnOrAbort(turn: Promise<void>, signal: AbortSignal): Promise<void> {
  let onAbort = (): void => undefined
  const aborted = new Promise<never>((_, reject) => {
    onAbort = () => {
      reject(stopped(signal))
    }
  })
  throwIfStopped(signal)
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    await Promise.race([turn, aborted])
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}
