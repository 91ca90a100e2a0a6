import { CancelledFailure } from '@temporalio/common'
import { toApplicationFailure } from '../contract/failures.ts'
import { faultPoint } from '../process/fault-point.ts'

/** What an activity's fault points are called; default: as the activity. */
type NameOf = (name: string, input: unknown) => string

/** Wraps every activity so that only `ApplicationFailure`s and cancellations leave it. */
export function guarded<T extends object>(activities: T, nameOf: NameOf = (name) => name): T {
  return Object.fromEntries(
    Object.entries(activities).map(([name, activity]: [string, (...args: unknown[]) => Promise<unknown>]) => [
      name,
      guard(activity, (input) => nameOf(name, input)),
    ]),
  ) as T
}

function guard(
  activity: (...args: unknown[]) => Promise<unknown>,
  nameOf: (input: unknown) => string,
): (...args: unknown[]) => Promise<unknown> {
  return async (...args) => {
    try {
      const name = nameOf(args[0])
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
