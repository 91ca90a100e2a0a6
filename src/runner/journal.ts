/**
 * What this runner was doing, one file per activity: enough for the next life to stop what is left of it, to tell
 * Temporal at once, and to do nothing twice that had finished.
 */
import { appendFileSync, closeSync, mkdirSync, openSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import { Outcome } from '../domain/step.ts'
import { openSyncedLines, parseLines, writeAll } from '../process/durable-file.ts'
import { faultPoint } from '../process/fault-point.ts'
import type { ProcessIdentity } from '../process/identity.ts'

const Identity = z.object({ pid: z.number().int(), startTime: z.string(), bootId: z.string() })

/** The first line: which activity it is. */
const Begun = z.object({
  type: z.literal('begun'),
  runId: z.string(),
  epoch: z.number().int(),
  work: z.enum(['segment', 'script', 'opening']),
  /** Temporal's task token, base64. */
  token: z.string(),
})
export type Begun = z.infer<typeof Begun>

const Line = z.discriminatedUnion('type', [
  Begun,
  /** On disk before the spawn. */
  z.object({ type: z.literal('started'), step: z.string(), attempt: z.number().int() }),
  z.object({ type: z.literal('spawned'), step: z.string(), identity: Identity }),
  /** On disk before the next step starts. */
  z.object({ type: z.literal('outcome'), outcome: Outcome }),
  /** Stopped by us before it had an outcome: it runs again. */
  z.object({ type: z.literal('interrupted'), step: z.string() }),
  /** The watchdog is about to kill it: what looks like its own failure then is none. */
  z.object({ type: z.literal('cut'), step: z.string(), attempt: z.number().int() }),
  z.object({ type: z.literal('returned') }),
  /** Temporal knows: the next life need not tell it again. */
  z.object({ type: z.literal('reported') }),
])
type Line = z.infer<typeof Line>

/** Throws what the file system throws: without a journal nothing may be started. What says that something ended is not missed. */
export interface Journal {
  started(step: string, attempt: number): void
  spawned(step: string, identity: ProcessIdentity): void
  outcome(outcome: Outcome): void
  /** `by`: who ended it, if it was not the runner itself. Never throws: without the line it has no outcome all the same. */
  interrupted(step: string, by?: 'watchdog'): void
  /** Has the watchdog written that it ends this attempt? */
  wasCut(step: string, attempt: number): boolean
  /** Never throws: without the line the next life tells Temporal once more. */
  returned(): void
}

/** An attempt that started and has no outcome. */
export interface RunningStep {
  step: string
  attempt: number
  /** Absent if it was not spawned. */
  identity?: ProcessIdentity
  /** The watchdog has written that it ends it. */
  cut: boolean
}

/** A journal as its reader sees it. */
export interface JournalRecord {
  file: string
  begun: Begun
  outcomes: Outcome[]
  running: RunningStep[]
  /** The steps of `running`. */
  interrupted: string[]
  /** Their process groups, as far as they were spawned. */
  identities: ProcessIdentity[]
  returned: boolean
  reported: boolean
}

export interface Journals {
  begin(begun: Omit<Begun, 'type'>): Journal
  /** Oldest first; of one run if asked for. What cannot be read as a journal is left out. Throws what the file system throws. */
  list(runId?: string): JournalRecord[]
  /** The same; what the file system does not give is left out, and told. */
  listReadable(unreadable: (error: unknown) => void, runId?: string): JournalRecord[]
  /** Notes that Temporal has been told. */
  markReported(record: JournalRecord): void
  /** Notes, in another process than its writer's, what of it is about to be killed. */
  markCut(record: JournalRecord, steps: readonly RunningStep[]): void
  /** Those of epochs up to this one, and what cannot be read. Twice: nothing to do. */
  remove(runId: string, upTo?: number): void
}

/** `directory`: one directory per run below it. */
export function createJournals(directory: string): Journals {
  const directoryOf = (runId: string) => join(directory, z.uuid().parse(runId))
  const recordsOf = (runId: string, attempt: Attempt) => {
    const place = directoryOf(runId)
    const names = attempt(() => namesIn(place).sort()) ?? []
    return names.flatMap((name) => attempt(() => readJournal(join(place, name))) ?? [])
  }
  let last = 0
  return {
    begin(begun) {
      const place = directoryOf(begun.runId)
      mkdirSync(place, { recursive: true, mode: 0o700 })
      // Names sort in the order in which the activities began; two lives of the runner never share a millisecond's number.
      last = Math.max(last + 1, Date.now() * 1000)
      return writeJournal(join(place, `${String(last)}.${begun.work}.jsonl`), { type: 'begun', ...begun })
    },
    list(runId) {
      const runs = runId === undefined ? namesIn(directory) : [runId]
      return runs.flatMap((run) => recordsOf(run, (read) => read()))
    },
    listReadable(unreadable, runId) {
      const attempt = orTell(unreadable)
      const runs = runId === undefined ? (attempt(() => namesIn(directory)) ?? []) : [runId]
      return runs.flatMap((run) => attempt(() => recordsOf(run, attempt)) ?? [])
    },
    markReported(record) {
      const lines = openSyncedLines(record.file)
      faultPoint('journal.report')
      lines.append({ type: 'reported' } satisfies Line)
      lines.close()
    },
    markCut(record, steps) {
      const lines = steps.map(({ step, attempt }) => JSON.stringify({ type: 'cut', step, attempt } satisfies Line))
      // Not synced: it is for a runner that still lives, and must not wait for a disk that may be the trouble.
      appendFileSync(record.file, `\n${lines.join('\n')}\n`)
    },
    remove(runId, upTo = Infinity) {
      const place = directoryOf(runId)
      const staying = recordsOf(
        runId,
        orTell(() => undefined),
      ).filter(({ begun }) => begun.epoch > upTo)
      if (staying.length === 0) return rmSync(place, { recursive: true, force: true })
      const gone = namesIn(place).filter((name) => staying.every(({ file }) => file !== join(place, name)))
      for (const name of gone) rmSync(join(place, name), { recursive: true, force: true })
    },
  }
}

/** How something is read: what it throws may be caught. */
type Attempt = <T>(read: () => T) => T | undefined

function orTell(tell: (error: unknown) => void): Attempt {
  return (read) => {
    try {
      return read()
    } catch (error) {
      tell(error)
      return undefined
    }
  }
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory)
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return []
    throw error
  }
}

function writeJournal(file: string, begun: Begun): Journal {
  const synced = openSyncedLines(file)
  const append = (line: Line) => synced.append(line)
  let unsynced: number
  try {
    append(begun)
    // A second descriptor for lines that survive our death but need not survive the host's: they cost no sync.
    unsynced = openSync(file, 'a', 0o600)
  } catch (error) {
    synced.close()
    throw error
  }
  faultPoint('journal.begun')
  const note = (line: Line) => {
    writeAll(unsynced, `${JSON.stringify(line)}\n`)
  }
  const noteOrNot = (line: Line) => {
    try {
      note(line)
    } catch {
      // The disk is full: what the line would have said shows in what is missing.
    }
  }
  faultPoint('journal.begun')
  return {
    started(step, attempt) {
      append({ type: 'started', step, attempt })
      faultPoint('journal.started')
    },
    spawned(step, identity) {
      faultPoint('journal.spawn')
      note({ type: 'spawned', step, identity })
    },
    outcome(outcome) {
      append({ type: 'outcome', outcome })
      faultPoint('journal.outcome')
    },
    interrupted(step) {
      noteOrNot({ type: 'interrupted', step })
      faultPoint('journal.interrupted')
    },
    wasCut: (step, attempt) =>
      readLines(file).some((line) => line.type === 'cut' && line.step === step && line.attempt === attempt),
    returned() {
      faultPoint('journal.return')
      noteOrNot({ type: 'returned' })
      synced.close()
      closeSync(unsynced)
    },
  }
}

function readLines(file: string): Line[] {
  return parseLines(readFileSync(file, 'utf8')).flatMap((line) => Line.safeParse(line).data ?? [])
}

function readJournal(file: string): JournalRecord | undefined {
  const lines = readLines(file)
  const [begun] = lines
  if (begun?.type !== 'begun') return undefined
  const empty = { running: [], outcomes: [], interrupted: [], identities: [] }
  const record: JournalRecord = { file, begun, ...empty, returned: false, reported: false }
  const running = new Map<string, RunningStep>()
  for (const line of lines) {
    if (line.type === 'started') running.set(line.step, { step: line.step, attempt: line.attempt, cut: false })
    const found = line.type === 'spawned' || line.type === 'cut' ? running.get(line.step) : undefined
    if (found !== undefined && line.type === 'spawned') found.identity = line.identity
    if (found !== undefined && line.type === 'cut' && line.attempt === found.attempt) found.cut = true
    if (line.type === 'outcome') {
      record.outcomes.push(line.outcome)
      running.delete(line.outcome.step)
    }
    if (line.type === 'returned') record.returned = true
    if (line.type === 'reported') record.reported = true
  }
  record.running = [...running.values()]
  record.interrupted = [...running.keys()]
  record.identities = record.running.flatMap(({ identity }) => identity ?? [])
  return record
}
