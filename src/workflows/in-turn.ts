/**
 * What a workflow does next must not depend on what came to it together. A local activity may end in a workflow task that has also
 * brought signals, updates or results: while it happens Temporal tells of these first and of the local activity's end later, in an activation of
 * its own; in a replay it tells of all at once. So what follows a local activity goes on when all else of that activation has
 * gone as far as it can, and of several local activities one after the other: then the order of commands is the same both times.
 */
import { CancellationScope, condition } from '@temporalio/workflow'

/** So often may the rest go on, be stopped by a condition, and go on again. */
const rounds = 8

let last: Promise<void> = Promise.resolve()

/** Resolves in the same activation, after all the rest of it, and after what was here before. */
export function whenTheRestHasGone(): Promise<void> {
  const mine = last.then(() => CancellationScope.nonCancellable(letGo))
  last = mine
  return mine
}

/** The same functions; what comes of them comes in turn. */
export function inTurn<T extends object>(functions: T): T {
  return new Proxy(functions, {
    get(target, name, receiver) {
      const called = Reflect.get(target, name, receiver) as (...args: unknown[]) => Promise<unknown>
      return async (...args: unknown[]): Promise<unknown> => {
        try {
          return await called(...args)
        } finally {
          await whenTheRestHasGone()
        }
      }
    },
  })
}

async function letGo(): Promise<void> {
  for (let round = 0; round < rounds; round += 1) {
    // Asked for the first time here, for the second when all that could go on has done so.
    let asked = 0
    await condition(() => (asked += 1) > 1)
  }
}
