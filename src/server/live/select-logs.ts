import type { LogQuery } from '../../api/log-schemas.ts'
import type { LogInfo, Store } from '../../store/store.ts'

export type LogSelection = Pick<LogQuery, 'part' | 'attempt' | 'epoch'>

/** The logs that are meant, oldest first. A `finally` step's output is its step's output to a reader. */
export async function selectLogs(
  store: Store,
  input: { runId: string; step: string; selection: LogSelection },
): Promise<LogInfo[]> {
  const { part = 'step', attempt, epoch } = input.selection
  const logs = await store.logs.list(input.runId, input.step)
  return logs.filter(
    (log) =>
      (log.part === 'undo') === (part === 'undo') &&
      (attempt === undefined || log.attempt === attempt) &&
      (epoch === undefined || log.epoch === epoch),
  )
}

/** A piece of a log is read at a time, so that no log is ever held whole. */
export const pieceBytes = 64 * 1024

/** The committed bytes of one log, from `start` up to `end`. */
export async function* readLog(
  store: Store,
  log: LogInfo,
  { start, end }: { start: number; end: number },
): AsyncGenerator<Buffer> {
  let offset = start
  while (offset < end) {
    const piece = await store.logs.read(log, { offset, length: Math.min(pieceBytes, end - offset) })
    if (piece.length === 0) return
    offset += piece.length
    yield piece
  }
}
