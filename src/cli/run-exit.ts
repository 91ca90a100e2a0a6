import { exitCodes } from '../domain/errors.ts'
import type { RunStatus } from '../domain/run.ts'

/** Of a command that settles a blocked undo: good is a run that was taken back after all. */
export function settledExitCodeOf(status: RunStatus): number {
  return status === 'rolled_back' || status === 'cancelled' ? 0 : exitCodes.rollbackFailed
}

/** What the end of a run means for the command that waited for it. */
export function exitCodeOf(status: RunStatus): number {
  switch (status) {
    case 'succeeded':
    case 'skipped':
      return 0
    case 'rolled_back':
      return exitCodes.rolledBack
    case 'rollback_failed':
    case 'rollback_blocked':
      return exitCodes.rollbackFailed
    case 'cancelled':
      return exitCodes.cancelled
    case 'failed':
    case 'errored':
    case 'queued':
    case 'running':
      return exitCodes.runFailed
  }
}
