import { CancelledFailure } from '@temporalio/common'
import { toApplicationFailure } from '../contract/failures.ts'

/** Wraps every activity so that only `ApplicationFailure`s and cancellations leave it. */
export function guarded<T extends object>(activities: T): T {
  return Object.fromEntries(
    Object.entries(activities).map(([name, activity]: [string, (...args: unknown[]) => Promise<unknown>]) => [
      name,
      guard(activity),
    ]),
  ) as T
}

function guard(activity: (...args: unknown[]) => Promise<unknown>): (...args: unknown[]) => Promise<unknown> {
  return async (...args) => {
    try {
      return await activity(...args)
    } catch (error) {
      // A cancellation must stay one.
      throw error instanceof CancelledFailure ? error : toApplicationFailure(error)
    }
  }
}
