import { CancellationScope, patched, sleep } from '@temporalio/workflow'

/** How long nothing was heard of somebody. While they are busy for us, their heartbeats say that they are there. */
export interface Silence {
  heard(): void
  busy(isBusy: boolean): void
  /** Nobody is there who could be heard. */
  end(): void
  /** Also as long as nothing was ever heard. */
  isLong(): boolean
}

export function createSilence(longMs: number): Silence {
  return patched('silence-by-timer') ? byTimer(longMs) : byClock(longMs)
}

/** A timer is in the history; one that is called off in the workflow task that started it leaves no trace there. */
function byTimer(longMs: number): Silence {
  let isLong = true
  let isBusy = false
  let timer: CancellationScope | undefined

  function end(): void {
    timer?.cancel()
    timer = undefined
  }

  function begin(): void {
    end()
    isLong = false
    // Not a part of what is stopped: what takes a run back asks as well.
    if (!isBusy) void CancellationScope.nonCancellable(wait)
  }

  async function wait(): Promise<void> {
    const mine = new CancellationScope()
    timer = mine
    try {
      await mine.run(() => sleep(longMs))
      isLong = true
    } catch {
      // Called off.
    }
  }

  return {
    heard: begin,
    busy(isNow) {
      isBusy = isNow
      begin()
    },
    end,
    isLong: () => isLong,
  }
}

/** Under earlier code: by a clock that a replay may tell otherwise. */
function byClock(longMs: number): Silence {
  let heardAt = 0
  return {
    heard: () => {
      heardAt = Date.now()
    },
    busy: () => undefined,
    end: () => undefined,
    isLong: () => Date.now() - heardAt > longMs,
  }
}
