/** Of one workspace either steps run, or a checkpoint is taken. */
export interface Quiet {
  /** For a step that starts: waits while a checkpoint is wanted. False, and nothing to leave, if the signal came first. */
  enter(runId: string, signal: AbortSignal): Promise<boolean>
  leave(runId: string): void
  /**
   * Of a step that has entered: waits until no other runs, holding back new ones, and then works. Undefined if the signal came
   * first. Several at once take turns.
   */
  alone<T>(runId: string, signal: AbortSignal, work: () => Promise<T>): Promise<T | undefined>
}

interface State {
  running: number
  wanted: number
  working: boolean
  wake: Set<() => void>
}

export function createQuiet(): Quiet {
  const states = new Map<string, State>()
  const stateOf = (runId: string) => {
    const state = states.get(runId) ?? { running: 0, wanted: 0, working: false, wake: new Set() }
    states.set(runId, state)
    return state
  }
  const changed = (runId: string, state: State) => {
    for (const wake of [...state.wake]) wake()
    if (state.running === 0 && state.wanted === 0) states.delete(runId)
  }
  return {
    async enter(runId, signal) {
      for (let state = stateOf(runId); ; state = stateOf(runId)) {
        if (signal.aborted) return false
        if (state.wanted === 0) {
          state.running += 1
          return true
        }
        await nextChange(state, signal)
      }
    },
    leave(runId) {
      const state = stateOf(runId)
      state.running -= 1
      changed(runId, state)
    },
    async alone(runId, signal, work) {
      const state = stateOf(runId)
      state.wanted += 1
      state.running -= 1
      changed(runId, state)
      try {
        while (state.running > 0 || state.working) {
          if (signal.aborted) return undefined
          await nextChange(state, signal)
        }
        state.working = true
        try {
          return await work()
        } finally {
          state.working = false
        }
      } finally {
        state.wanted -= 1
        state.running += 1
        changed(runId, state)
      }
    },
  }
}

/** Also when the signal says stop. */
function nextChange(state: State, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const wake = () => {
      state.wake.delete(wake)
      signal.removeEventListener('abort', wake)
      resolve()
    }
    state.wake.add(wake)
    signal.addEventListener('abort', wake, { once: true })
  })
}
