import { BelayError } from '../../domain/errors.ts'
import type { Operation } from './keeper-api.ts'
import type { EnvironmentRecord, StateStore } from './keeper-state.ts'

/** How many operations an environment can answer again. */
const remembered = 200

/**
 * The last move of an operation: changes the record and gives the answer, in the one write that records the answer too.
 * So an operation is either answered for ever, or was never finished and may be done again.
 */
export type Closing = (draft: EnvironmentRecord) => unknown

export interface Fence {
  /**
   * Carries out one operation. Its number is compared and written before anything is done. A number below the highest
   * seen: `stale`. A repeat of (fence, operation id): the recorded answer, or a wait for the one under way. A higher
   * number aborts the signal of everything older; operations of one environment never overlap.
   */
  run(operation: Operation, act: (signal: AbortSignal) => Promise<Closing>): Promise<unknown>
}

/** `settle` follows each operation, done or not, before the next one begins; it must not reject. */
export function createFence(name: string, store: StateStore, settle: () => Promise<void> = () => Promise.resolve()): Fence {
  const pending = new Map<string, { operation: Operation; abort: AbortController; answer: Promise<unknown> }>()
  let tail: Promise<unknown> = Promise.resolve()

  function admit(operation: Operation): void {
    const { fence } = operation
    const { fence: highest } = store.read(name)
    if (fence < highest) throw stale(operation, highest)
    if (fence === highest) return
    store.update(name, (draft) => {
      draft.fence = fence
    })
    for (const older of pending.values()) if (older.operation.fence < fence) older.abort.abort(stale(older.operation, fence))
  }

  async function carryOut(operation: Operation, act: (signal: AbortSignal) => Promise<Closing>, signal: AbortSignal) {
    signal.throwIfAborted()
    try {
      const close = await act(signal)
      signal.throwIfAborted()
      return store.update(name, (draft) => {
        const answer = close(draft)
        const { fence, operationId } = operation
        draft.answered = [...draft.answered, { fence, operationId, answer }].slice(-remembered)
        return answer
      })
    } finally {
      await settle()
    }
  }

  return {
    async run(operation, act) {
      const { fence, operationId } = operation
      const known = store
        .read(name)
        .answered.find((candidate) => candidate.fence === fence && candidate.operationId === operationId)
      if (known !== undefined && fence === store.read(name).fence) return known.answer
      admit(operation)
      const key = `${String(fence)} ${operationId}`
      const underWay = pending.get(key)
      if (underWay !== undefined) return underWay.answer
      const abort = new AbortController()
      const answer = tail.then(() => carryOut(operation, act, abort.signal)).finally(() => pending.delete(key))
      pending.set(key, { operation, abort, answer })
      // The next one waits for this one's end, good or bad; the failure itself goes to whoever asked.
      tail = answer.catch(() => undefined)
      return answer
    },
  }
}

function stale({ fence, operationId }: Operation, highest: number): BelayError {
  return new BelayError({
    code: 'stale',
    message: `operation ${operationId} has fencing number ${String(fence)}, but ${String(highest)} was seen`,
    hint: 'A newer owner of the environment is at work; this one has nothing more to say.',
  })
}
