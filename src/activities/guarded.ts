import { CancelledFailure } from '@temporalio/common'
import { toApplicationFailure } from '../contract/failures.ts'
import { faultPoint } from '../process/fault-point.ts'

/** Wraps every activity so that only `ApplicationFailure`s and cancellations leave it. */
export function guarded<T extends object>(activities: T): T {
  return Object.fromEntries(
    Object.entries(activities).map(([name, activity]: [string, (...args: unknown[]) => Promise<unknown>]) => [
      name,
      guard(name, activity),
    ]),
  ) as T
}

function guard(name: string, activity: (...args: unknown[]) => Promise<unknown>): (...args: unknown[]) => Promise<unknown> {
  return async (...args) => {
    try {
      faultPoint(`activity.${name}.before`)
      const working = activity(...args)
      faultPoint(`activity.${name}.during`)
      const result = await working
      faultPoint(`activity.${name}.after`)
      return result
    } catch (error) {
      // A cancellation must stay one.
      throw error instanceof CancelledFailure ? error : toApplicationFailure(error)
    }
  }
}
