import { CancellationScope, condition, sleep } from '@temporalio/workflow'

/** Time in which something is held up by others, and which counts for no limit. */
export interface HoldClock {
  /** Twice is once; what is held by several keys is held until the last of them is gone. */
  set(key: string, isHeld: boolean): void
  isHeld(): boolean
  /** So far. */
  heldMs(): number
}

export function createHoldClock(): HoldClock {
  const keys = new Set<string>()
  let since = 0
  let sumMs = 0
  return {
    set(key, isHeld) {
      const before = keys.size
      if (isHeld) keys.add(key)
      else keys.delete(key)
      if (before === 0 && keys.size > 0) since = Date.now()
      if (before > 0 && keys.size === 0) sumMs += Date.now() - since
    },
    isHeld: () => keys.size > 0,
    heldMs: () => sumMs + (keys.size > 0 ? Date.now() - since : 0),
  }
}

/** Like `CancellationScope.withTimeout`, but the clock stands while it is held. */
export function withTimeLimit<T>(limitMs: number, hold: HoldClock, body: () => Promise<T>): Promise<T> {
  const scope = new CancellationScope()
  return scope.run(async () => {
    const clock = new CancellationScope()
    clock
      .run(() => timeIsUp(limitMs, hold))
      .then(
        () => {
          scope.cancel()
        },
        () => undefined, // It ends with the scope.
      )
    try {
      return await body()
    } finally {
      clock.cancel()
    }
  })
}

async function timeIsUp(limitMs: number, hold: HoldClock): Promise<void> {
  let leftMs = limitMs
  while (leftMs > 0) {
    const before = hold.heldMs()
    await sleep(leftMs)
    // What was held meanwhile is still to come.
    leftMs = hold.heldMs() - before
    if (hold.isHeld()) await condition(() => !hold.isHeld())
  }
}
