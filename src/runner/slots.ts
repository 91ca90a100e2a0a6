/**
 * The runner's one semaphore: a slot is taken by work in progress, never by a directory. Waiting work is served in order
 * of `Precedence`, and first come first served within it. Nothing waits for a slot while it keeps one.
 */

/** Undo and `finally` first, then segments of runs that have begun, then openings of new ones. */
export const precedence = { script: 0, segment: 1, opening: 2 } as const
export type Precedence = (typeof precedence)[keyof typeof precedence]

export interface Slots {
  /** Waits for a slot and resolves with what gives it back; undefined if the signal came first. */
  take(level: Precedence, signal: AbortSignal): Promise<(() => void) | undefined>
  /** Resolves when a slot is free and nobody waits for it, without taking it; false if the signal came first. */
  whenFree(signal: AbortSignal): Promise<boolean>
  busy(): number
}

interface Waiting {
  level: number
  go(taken: boolean): void
}

export function createSlots(total: number): Slots {
  let free = total
  const queue: Waiting[] = []
  const watchers = new Set<() => void>()

  const serve = () => {
    while (free > 0) {
      const next = queue.shift()
      if (next === undefined) break
      free -= 1
      next.go(true)
    }
    if (free > 0) for (const wake of [...watchers]) wake()
  }
  const giveBack = () => {
    let given = false
    return () => {
      if (given) return
      given = true
      free += 1
      serve()
    }
  }
  return {
    async take(level, signal) {
      if (signal.aborted) return undefined
      const taken = await new Promise<boolean>((resolve) => {
        const stop = () => leave(queue, waiting)
        const waiting: Waiting = {
          level,
          go(isTaken) {
            signal.removeEventListener('abort', stop)
            resolve(isTaken)
          },
        }
        const place = queue.findIndex((other) => other.level > level)
        queue.splice(place === -1 ? queue.length : place, 0, waiting)
        signal.addEventListener('abort', stop, { once: true })
        serve()
      })
      return taken ? giveBack() : undefined
    },
    async whenFree(signal) {
      if (signal.aborted) return false
      if (free > 0 && queue.length === 0) return true
      return await new Promise<boolean>((resolve) => {
        const finish = (isFree: boolean) => {
          watchers.delete(wake)
          signal.removeEventListener('abort', stop)
          resolve(isFree)
        }
        const wake = () => finish(true)
        const stop = () => finish(false)
        watchers.add(wake)
        signal.addEventListener('abort', stop, { once: true })
      })
    },
    busy: () => total - free,
  }
}

function leave(queue: Waiting[], waiting: Waiting): void {
  const place = queue.indexOf(waiting)
  if (place === -1) return
  queue.splice(place, 1)
  waiting.go(false)
}
