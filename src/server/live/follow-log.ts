import type { LogChunk } from '../../api/log-schemas.ts'
import type { LogInfo, Store } from '../../store/store.ts'
import { pieceBytes, selectLogs, type LogSelection } from './select-logs.ts'
import { beat, lookAgainMs, type Live, type LiveEvent } from './send-events.ts'
import { isStepOver, owesFirstLog } from './step-over.ts'
import { wholeCharacters } from './whole-characters.ts'

/** Where a reader is: an offset in one of a step's logs. */
export interface LogPosition {
  attempt: number
  epoch: number
  offset: number
}

export interface FollowLogInput {
  runId: string
  step: string
  selection: LogSelection
  from: LogPosition | undefined
  signal: AbortSignal
}

/** A step that is over is given this long to have its last bytes shipped. */
const lastBytesMs = 10_000

/** What a step prints, log after log, and `end` once it is over and everything that was shipped is sent. */
export async function* followLog(store: Store, input: FollowLogInput): Live {
  const { runId, step, signal } = input
  const part = input.selection.part ?? 'step'
  let position = input.from
  let eventsSeen = 0
  let overSince: number | undefined
  while (!signal.aborted) {
    const run = await store.runs.find(runId)
    // Asked before the logs are listed: what was shipped before the end is then in the list.
    const over = run === undefined || (await isStepOver(store, { run, step, part }))
    const logs = await selectLogs(store, input)
    let open: LogInfo | undefined
    for (const log of logs.filter((candidate) => !isBefore(candidate, position))) {
      for await (const { event, next } of readPieces(store, log, { position, isFinal: !mayGrow(log, logs), signal })) {
        position = next
        yield event
      }
      if (!mayGrow(log, logs)) continue
      open = log
      break
    }
    overSince = over ? (overSince ?? Date.now()) : undefined
    const owesLog =
      open !== undefined || (logs.length === 0 && run !== undefined && (await owesFirstLog(store, { run, step, part })))
    if (overSince !== undefined && (!owesLog || Date.now() - overSince > lastBytesMs)) {
      yield { event: 'end', data: { truncated: logs.some((log) => log.truncated) } }
      return
    }
    eventsSeen = await skipEvents(store, runId, eventsSeen)
    const wait = { timeoutMs: lookAgainMs, signal }
    if (open === undefined) await store.runs.waitForEvents(runId, { ...wait, after: eventsSeen })
    else await store.logs.waitForGrowth(open, { ...wait, size: open.sizeBytes })
    yield beat
  }
}

/** A log of a lower epoch is refused further bytes by the store. */
function mayGrow(log: LogInfo, logs: LogInfo[]): boolean {
  return !log.closed && !logs.some((other) => other.epoch > log.epoch)
}

function isBefore(log: LogInfo, position: LogPosition | undefined): boolean {
  if (position === undefined) return false
  return log.attempt < position.attempt || (log.attempt === position.attempt && log.epoch < position.epoch)
}

interface Piece {
  event: LiveEvent
  next: LogPosition
}

interface ReadPieces {
  position: LogPosition | undefined
  /** Nothing comes after these bytes: half a character at the end is sent as it is. */
  isFinal: boolean
  signal: AbortSignal
}

async function* readPieces(store: Store, log: LogInfo, input: ReadPieces): AsyncGenerator<Piece> {
  const { attempt, epoch, sizeBytes } = log
  const resumes = input.position?.attempt === attempt && input.position.epoch === epoch
  let offset = resumes ? (input.position?.offset ?? 0) : 0
  while (offset < sizeBytes && !input.signal.aborted) {
    const bytes = await store.logs.read(log, { offset, length: Math.min(pieceBytes, sizeBytes - offset) })
    const isLast = input.isFinal && offset + bytes.length >= sizeBytes
    const sent = isLast ? bytes : wholeCharacters(bytes)
    if (sent.length === 0) return
    const data: LogChunk = { attempt, epoch, offset, text: sent.toString('utf8') }
    offset += sent.length
    yield { event: { id: `${String(attempt)}.${String(epoch)}.${String(offset)}`, data }, next: { attempt, epoch, offset } }
  }
}

/** The run's newest sequence number: waiting goes on from there. */
async function skipEvents(store: Store, runId: string, after: number): Promise<number> {
  let seq = after
  for (;;) {
    const events = await store.runs.events(runId, { after: seq, limit: 1000 })
    const last = events.at(-1)
    if (last === undefined) return seq
    seq = last.seq
  }
}
