/** Runs in which a step has failed for good: no new step of them starts on this runner, in whatever segment. */
export interface RunStops {
  stop(runId: string): void
  isStopped(runId: string): boolean
  /** Calls back once when it happens; returns what takes that back. */
  onStop(runId: string, wake: () => void): () => void
  forget(runId: string): void
}

export function createRunStops(): RunStops {
  const stopped = new Set<string>()
  const listeners = new Map<string, Set<() => void>>()
  return {
    stop(runId) {
      stopped.add(runId)
      for (const wake of [...(listeners.get(runId) ?? [])]) wake()
    },
    isStopped: (runId) => stopped.has(runId),
    onStop(runId, wake) {
      const set = listeners.get(runId) ?? new Set()
      listeners.set(runId, set.add(wake))
      return () => {
        set.delete(wake)
        if (set.size === 0 && listeners.get(runId) === set) listeners.delete(runId)
      }
    },
    forget: (runId) => void stopped.delete(runId),
  }
}
