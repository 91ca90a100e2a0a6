/** What the end of a command means for its attempt. Pure. */
import type { Outcome } from '../domain/step.ts'
import type { CommandEnd } from './run-command.ts'
import type { StopReason } from './stop.ts'

/** As much of an outcome as an end decides; `interrupted`: there is none, it is to run again. */
export type Ending = Pick<Outcome, 'status' | 'exitCode' | 'signal' | 'reason'> | 'interrupted'

export function endingOf(end: CommandEnd, lines: readonly string[], timeoutMs: number): Ending {
  switch (end.type) {
    case 'exited': {
      if (end.exitCode === 0) return { status: 'succeeded', exitCode: 0 }
      const reason = `${placeOf(end.line, lines)} failed with exit code ${String(end.exitCode)}${quoteLine(end.line, lines)}`
      return { status: 'failed', exitCode: end.exitCode, reason }
    }
    case 'signalled':
      return {
        status: 'failed',
        signal: end.signal,
        reason: `${placeOf(end.line, lines)} was ended by ${end.signal}${quoteLine(end.line, lines)}`,
      }
    case 'timed_out':
      return {
        ...timedOut(timeoutMs),
        reason: `timed out after ${formatDuration(timeoutMs)} in ${placeOf(end.line, lines)}${quoteLine(end.line, lines)}`,
      }
    case 'stopped':
      return stopped(end.reason)
  }
}

export function timedOut(timeoutMs: number): { status: 'timed_out'; reason: string } {
  return { status: 'timed_out', reason: `timed out after ${formatDuration(timeoutMs)}` }
}

/** Only a cancel is an end; whatever else stops a step lets it run again. */
export function stopped(reason: StopReason): Ending {
  return reason === 'cancelled' ? { status: 'cancelled', reason: 'cancelled while it ran' } : 'interrupted'
}

/**
 * With the limits that were reached put before the reason. A step that ended well all the same has coped, and one that was
 * cancelled was cancelled.
 */
export function withStruck(ending: Exclude<Ending, 'interrupted'>, struck: readonly string[]): Exclude<Ending, 'interrupted'> {
  if (struck.length === 0 || ending.status === 'succeeded' || ending.status === 'cancelled') return ending
  return { ...ending, reason: [...struck, ...(ending.reason === undefined ? [] : [ending.reason])].join('; ') }
}

/** What a kill by the watchdog may look like: nothing good, and nothing that a person asked for. */
export function isDoubtful(ending: Ending): boolean {
  return ending === 'interrupted' || (ending.status !== 'succeeded' && ending.status !== 'cancelled')
}

function placeOf(line: number | undefined, lines: readonly string[]): string {
  return line === undefined || lines.length === 1 ? 'the command' : `line ${String(line)}`
}

const longestQuote = 120

function quoteLine(line: number | undefined, lines: readonly string[]): string {
  const [first = ''] = (lines[(line ?? 1) - 1] ?? '').trim().split('\n')
  if (line === undefined || first === '') return ''
  return `: ${first.length > longestQuote ? `${first.slice(0, longestQuote)}…` : first}`
}

function formatDuration(ms: number): string {
  if (ms % 3_600_000 === 0) return `${String(ms / 3_600_000)}h`
  if (ms % 60_000 === 0) return `${String(ms / 60_000)}m`
  if (ms % 1_000 === 0) return `${String(ms / 1_000)}s`
  return `${String(ms)}ms`
}
