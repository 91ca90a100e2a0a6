import type { EnvironmentState } from './environment.ts'
import type { EnvValue } from './plan.ts'

/** A release was started with these variables. Remembered of what serves and of what may serve next; others have ended. */
export function noteGiven(state: EnvironmentState, digest: string, given: Record<string, EnvValue> | undefined): void {
  if (given === undefined) return
  const serving = state.current?.release.image.digest
  const kept = serving === undefined ? undefined : state.given?.[serving]
  state.given = { ...(serving === undefined || kept === undefined ? {} : { [serving]: kept }), [digest]: given }
}
