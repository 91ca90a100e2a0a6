import type { ActivitySlotInfo, CustomSlotSupplier, WorkerOptions } from '@temporalio/worker'
import type { Runner } from '../src/runner/create-runner.ts'

/** At most so many openings wait inside the runner, or are asked for, at once. */
const mostAtOnce = 4

/**
 * Slots of the opening queue: it is polled only while the runner has room. The room is looked at, not taken, since a poller
 * reserves before there is work; the opening itself takes it.
 */
export function openingSlots(runner: Pick<Runner, 'whenFree'>): NonNullable<WorkerOptions['tuner']> {
  let out = 0
  const returned = new Set<() => void>()
  const supplier: CustomSlotSupplier<ActivitySlotInfo> = {
    type: 'custom',
    async reserveSlot(_, signal) {
      for (;;) {
        await runner.whenFree(signal)
        // Exactly this error says to the worker that the slot was not wanted any more.
        signal.throwIfAborted()
        if (out < mostAtOnce) break
        await nextReturn(returned, signal)
      }
      out += 1
      return {}
    },
    tryReserveSlot: () => null,
    markSlotUsed: () => undefined,
    releaseSlot() {
      out -= 1
      for (const wake of [...returned]) wake()
    },
  }
  const none = { type: 'fixed-size', numSlots: 1 } as const
  return {
    activityTaskSlotSupplier: supplier,
    workflowTaskSlotSupplier: none,
    localActivityTaskSlotSupplier: none,
    nexusTaskSlotSupplier: none,
  }
}

function nextReturn(returned: Set<() => void>, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const finish = () => {
      returned.delete(finish)
      signal.removeEventListener('abort', finish)
      resolve()
    }
    returned.add(finish)
    signal.addEventListener('abort', finish, { once: true })
  })
}
