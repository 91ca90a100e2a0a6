/**
 * Wake-ups within this process: who waits on a topic is woken by whoever has just committed something about it. What other
 * processes commit comes in by the same door, if the database can tell (see `sql/postgres/listener.ts`).
 */
export interface Hub {
  notify(topic: string): void
  /** Everybody: something may have happened, and nobody knows what. */
  wakeAll(): void
  /**
   * Resolves when the topic is notified, `isReady` says so, the time is up, or the signal is aborted: never rejects for
   * any of these. It listens before it asks `isReady`, so nothing that is committed in between is missed.
   */
  wait(topic: string, input: WaitInput): Promise<void>
  /** Wakes everybody; later waits resolve at once. */
  close(): void
}

export interface WaitInput {
  timeoutMs: number
  signal?: AbortSignal | undefined
  /** Is there something already? */
  isReady(): Promise<boolean>
}

export function createHub(): Hub {
  const waiters = new Map<string, Set<() => void>>()
  let closed = false

  function wakeAll(): void {
    for (const wakes of waiters.values()) for (const wake of wakes) wake()
  }

  return {
    wakeAll,
    notify(topic) {
      for (const wake of waiters.get(topic) ?? []) wake()
    },
    async wait(topic, input) {
      if (closed || input.signal?.aborted === true) return
      const waiting = listen(waiters, topic, input)
      try {
        if (await input.isReady()) return
        await waiting.woken
      } finally {
        waiting.stop()
      }
    },
    close() {
      closed = true
      wakeAll()
    },
  }
}

function listen(waiters: Map<string, Set<() => void>>, topic: string, input: WaitInput) {
  const { promise, resolve } = createDeferred()
  const wakes = waiters.get(topic) ?? new Set()
  waiters.set(topic, wakes.add(resolve))
  const timer = setTimeout(resolve, input.timeoutMs)
  input.signal?.addEventListener('abort', resolve)
  return {
    woken: promise,
    stop() {
      clearTimeout(timer)
      input.signal?.removeEventListener('abort', resolve)
      wakes.delete(resolve)
      if (wakes.size === 0 && waiters.get(topic) === wakes) waiters.delete(topic)
    },
  }
}

function createDeferred(): { promise: Promise<void>; resolve: () => void } {
  let resolve = (): void => undefined
  const promise = new Promise<void>((settle) => {
    resolve = settle
  })
  return { promise, resolve }
}
