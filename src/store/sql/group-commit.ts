import { BelayError } from '../../domain/errors.ts'
import type { StoreDatabase, Tell, Tx } from './database.ts'

/** At most this many calls share a transaction: one group must not make the next wait for long. */
const greatestGroup = 200

interface Waiting<Input, Output> {
  input: Input
  resolve(output: Output): void
  reject(error: unknown): void
}

/**
 * Group commit: calls that come while a transaction is under way share the next one, so a burst pays for few syncs. Each
 * caller is answered after the commit. A fault that lies in one call is thrown at that call alone.
 */
export function createGroupCommit<Input, Output>(
  database: StoreDatabase,
  work: (tx: Tx, tell: Tell, input: Input) => Promise<Output>,
): (input: Input) => Promise<Output> {
  const queue: Waiting<Input, Output>[] = []
  let draining = false

  async function drain(): Promise<void> {
    // One turn of the event loop: what arrived together is committed together.
    await new Promise((resolve) => setImmediate(resolve))
    while (queue.length > 0) await commit(queue.splice(0, greatestGroup))
    draining = false
  }

  async function commit(group: readonly Waiting<Input, Output>[]): Promise<void> {
    try {
      const outputs = await database.write((tx, tell) => eachInTurn(group, ({ input }) => work(tx, tell, input)))
      for (const [index, output] of outputs.entries()) group[index]?.resolve(output)
    } catch (error) {
      const isShared = error instanceof BelayError && error.code === 'unavailable'
      if (isShared || group.length === 1) for (const waiting of group) waiting.reject(error)
      else await eachInTurn(group, (waiting) => commit([waiting]))
    }
  }

  return (input) =>
    new Promise((resolve, reject) => {
      queue.push({ input, resolve, reject })
      if (draining) return
      draining = true
      void drain()
    })
}

async function eachInTurn<T, R>(items: readonly T[], work: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = []
  for (const item of items) results.push(await work(item))
  return results
}
