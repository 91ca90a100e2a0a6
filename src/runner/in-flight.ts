/** The work in progress, by run: newer work of the same workspace stops the older before it begins. */
import { stopWith } from './stop.ts'

export interface WorkName {
  runId: string
  epoch: number
  /** E.g. `segment/2`: two of the same name never go on at once. */
  name: string
}

export interface InFlight {
  /**
   * Registers work. Work of the same run under a lower epoch, or of the same name, is stopped as `lost`, and waited for until
   * its processes are gone. Call `leave` in any case.
   */
  enter(work: WorkName): { signal: AbortSignal; clear: Promise<void>; leave(): void }
  /** Stops all work of a run and waits for its end. */
  stopRun(runId: string): Promise<void>
  has(runId: string): boolean
  /** Resolves when nothing is in flight. */
  whenIdle(): Promise<void>
}

interface Entry extends WorkName {
  controller: AbortController
  ended: Promise<void>
}

export function createInFlight(): InFlight {
  const entries = new Set<Entry>()
  const stopAll = async (which: (entry: Entry) => boolean) => {
    const found = [...entries].filter(which)
    for (const entry of found) stopWith(entry.controller, 'lost')
    await Promise.all(found.map((entry) => entry.ended))
  }
  return {
    enter(work) {
      const { promise, resolve } = openPromise()
      const entry: Entry = { ...work, controller: new AbortController(), ended: promise }
      const clear = stopAll((other) => other.runId === work.runId && (other.epoch < work.epoch || other.name === work.name))
      entries.add(entry)
      return {
        signal: entry.controller.signal,
        clear,
        leave() {
          entries.delete(entry)
          resolve()
        },
      }
    },
    stopRun: async (runId) => await stopAll((entry) => entry.runId === runId),
    has: (runId) => [...entries].some((entry) => entry.runId === runId),
    async whenIdle() {
      while (entries.size > 0) await Promise.all([...entries].map((entry) => entry.ended))
    },
  }
}

function openPromise(): { promise: Promise<void>; resolve: () => void } {
  let resolve: () => void = () => undefined
  const promise = new Promise<void>((settle) => {
    resolve = settle
  })
  return { promise, resolve }
}
