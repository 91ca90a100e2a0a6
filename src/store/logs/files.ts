import { constants } from 'node:fs'
import { mkdir, open, readdir, rm, rmdir, stat } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { defaults } from '../../domain/defaults.ts'
import { BelayError } from '../../domain/errors.ts'
import { syncDirectory } from '../../process/durable-file.ts'
import { faultPoint } from '../../process/fault-point.ts'
import { createKeyedLock } from '../keyed-lock.ts'
import type { Hub } from '../hub.ts'
import type { LogInfo, LogKey, LogStore } from '../store.ts'
import type { LogAppend, LogRows } from '../sql/log-rows.ts'
import { toFileError } from '../sql/store-error.ts'
import { topics } from '../topics.ts'
import { logPath, runDirectory } from './paths.ts'

export interface LogFilesOptions {
  directory: string
  rows: LogRows
  /** Where one waits for growth. */
  hub: Hub
  /** What one log may hold; the rest is dropped, and the log says `truncated`. */
  limitBytes?: number | undefined
}

const cutLine = Buffer.from('\n[belay] cut off: the attempt was begun again, and this is what was heard of it before\n')

interface Append {
  offset: number
  bytes: Buffer
  final: boolean
}

/** What a clean-up needs besides. */
export interface LogFiles extends LogStore {
  /** Of a run that has ended: first what says that it is there, then its bytes. Killed in between it leaves a stray file. */
  remove(key: LogKey): Promise<boolean>
  /** Files that no row has, older than this by their last write, run by run, also of one that has none. */
  listStrays(input: { writtenBefore: number }): AsyncGenerator<{ runId: string; files: { name: string; sizeBytes: number }[] }>
  removeStrays(runId: string, names: readonly string[]): Promise<void>
}

/**
 * One file per log. Bytes are written at the committed end and synced, then the row is raised: what a kill leaves past
 * the committed end is never read, and the next append writes over it.
 */
export function createLogFiles(options: LogFilesOptions): LogFiles {
  const { rows, hub } = options
  const limit = options.limitBytes ?? defaults.logBytes
  const lock = createKeyedLock()

  async function append(key: LogKey, row: LogAppend, input: Append) {
    await row.checkWriter()
    const log = await row.find()
    const end = log?.sizeBytes ?? 0
    if (log?.truncated === true) return dropAll(row, log, input.final)
    if (input.offset > end) return { end, gap: true, truncated: false }
    const fresh = input.bytes.subarray(end - input.offset)
    if (log?.closed === true) return answerClosed(log, fresh)
    const taken = fresh.subarray(0, Math.max(0, limit - end))
    const next = { sizeBytes: end + taken.length, closed: input.final, truncated: taken.length < fresh.length }
    if (log === undefined) await cutEarlier(row)
    if (log !== undefined && taken.length === 0 && !next.closed && !next.truncated) return { end, gap: false, truncated: false }
    if (taken.length > 0) await writeAt(options.directory, logPath(key), { bytes: taken, position: end, isLast: input.final })
    faultPoint('log.written')
    if (!(await row.commit(end, next))) return { end: (await row.find())?.sizeBytes ?? 0, gap: true, truncated: false }
    return { end: next.sizeBytes, gap: false, truncated: next.truncated }
  }

  /** Once the attempt goes on under a newer epoch their writers are refused: nobody else could end them. */
  async function cutEarlier(row: LogAppend): Promise<void> {
    for (const { log } of await row.listOpenBefore()) {
      // Its writer may be at it; whoever waits for another log's lock holds that of a newer one, so nobody waits in a circle.
      await lock(logPath(log).file, async () => {
        const still = (await row.listOpenBefore()).find(({ log: { epoch } }) => epoch === log.epoch)
        if (still === undefined) return
        const { sizeBytes, truncated } = still.log
        const line = truncated ? Buffer.alloc(0) : cutLine
        await writeAt(options.directory, logPath(log), { bytes: line, position: sizeBytes, isLast: true })
        await still.commit(sizeBytes, { sizeBytes: sizeBytes + line.length, closed: true, truncated })
      })
    }
  }

  /** A full log takes nothing more but its close, wherever the sender believes it ends. */
  async function dropAll(row: LogAppend, log: LogInfo, final: boolean) {
    const end = log.sizeBytes
    if (final && !log.closed) await row.commit(end, { sizeBytes: end, closed: true, truncated: true })
    return { end, gap: false, truncated: true }
  }

  return {
    append: async (key, input) => lock(logPath(key).file, () => rows.append(key, (row) => append(key, row, input))),
    list: (runId, step) => rows.list(runId, step),
    async read(key, { offset, length }) {
      const committed = (await rows.find(key))?.sizeBytes ?? 0
      const wanted = Math.max(0, Math.min(length, committed - offset))
      if (wanted === 0) return Buffer.alloc(0)
      return readAt(join(options.directory, logPath(key).file), offset, wanted)
    },
    waitForGrowth(key, { size, timeoutMs, signal }) {
      const isReady = async () => {
        const log = await rows.find(key)
        return log !== undefined && (log.closed || log.sizeBytes > size)
      }
      return hub.wait(topics.log(key.runId, key.step), { timeoutMs, signal, isReady })
    },
    async remove(key) {
      const path = logPath(key)
      return lock(path.file, async () => {
        if (!(await rows.remove(key))) return false
        await rows.ifAbsent(key, async () => {
          await rm(join(options.directory, path.file), { force: true })
          return true
        })
        await removeIfEmpty(join(options.directory, path.directory))
        return true
      })
    },
    async *listStrays({ writtenBefore }) {
      for await (const { runId, directory } of runDirectories(options.directory)) {
        const known = new Set((await rows.ofRun(runId)).map((key) => basename(logPath(key).file)))
        const files = await filesIn(directory)
        const strays = files.filter(({ name, writtenAt }) => writtenAt < writtenBefore && !known.has(name))
        yield { runId, files: strays }
      }
    },
    async removeStrays(runId, names) {
      const directory = join(options.directory, runDirectory(runId))
      // Once more: whoever has come back to a log since has a row by now.
      const known = new Set((await rows.ofRun(runId)).map((key) => basename(logPath(key).file)))
      for (const name of names) if (!known.has(name)) await rm(join(directory, name), { force: true })
      await removeIfEmpty(directory)
    },
  }
}

async function* runDirectories(root: string): AsyncGenerator<{ runId: string; directory: string }> {
  for (const prefix of await namesIn(root)) {
    if (!/^[0-9a-f]{2}$/.test(prefix)) continue
    for (const runId of await namesIn(join(root, prefix))) {
      if (/^[0-9a-f][0-9a-f-]{35}$/.test(runId)) yield { runId, directory: join(root, prefix, runId) }
    }
  }
}

async function filesIn(directory: string): Promise<{ name: string; sizeBytes: number; writtenAt: number }[]> {
  const names = (await namesIn(directory)).filter((name) => name.endsWith('.log'))
  const files = names.map(async (name) => {
    const { size, mtimeMs } = await stat(join(directory, name))
    return { name, sizeBytes: size, writtenAt: mtimeMs }
  })
  return await Promise.all(files)
}

async function namesIn(directory: string): Promise<string[]> {
  return readdir(directory).catch((error: unknown) => {
    if (isOneOf(error, ['ENOENT'])) return []
    throw error
  })
}

/** Somebody may write there again: then it stays, or is made again. */
async function removeIfEmpty(directory: string): Promise<void> {
  await rmdir(directory).catch((error: unknown) => {
    if (!isOneOf(error, ['ENOENT', 'ENOTEMPTY', 'EEXIST'])) throw error
  })
}

function isOneOf(error: unknown, codes: readonly string[]): boolean {
  return error instanceof Error && 'code' in error && codes.includes(String(error.code))
}

function answerClosed(log: LogInfo, fresh: Buffer) {
  if (fresh.length === 0) return { end: log.sizeBytes, gap: false, truncated: false }
  throw new BelayError({
    code: 'conflict',
    message: `the log of ${log.step}, attempt ${String(log.attempt)}, is closed at ${String(log.sizeBytes)} bytes`,
    hint: 'Nothing follows the append that was marked final.',
  })
}

interface Piece {
  bytes: Buffer
  position: number
  /** Nothing comes after it: what a kill left there goes. */
  isLast: boolean
}

async function writeAt(root: string, path: { directory: string; file: string }, piece: Piece): Promise<void> {
  const { bytes, position, isLast } = piece
  try {
    const isFirst = position === 0
    if (isFirst) await mkdir(join(root, path.directory), { recursive: true, mode: 0o700 })
    const handle = await open(join(root, path.file), constants.O_RDWR | constants.O_CREAT, 0o600)
    try {
      await writeAll(handle, bytes, position)
      if (isLast) await handle.truncate(position + bytes.length)
      await handle.datasync()
    } finally {
      await handle.close()
    }
    if (isFirst) syncUpTo(root, path.directory)
  } catch (error) {
    throw toFileError(error, 'a log')
  }
}

async function writeAll(handle: FileHandle, bytes: Buffer, position: number): Promise<void> {
  let written = 0
  while (written < bytes.length) {
    const part = await handle.write(bytes, written, bytes.length - written, position + written)
    written += part.bytesWritten
  }
}

/** A file is on disk when every directory that leads to it is. */
function syncUpTo(root: string, directory: string): void {
  for (let current = directory; current !== '.'; current = dirname(current)) syncDirectory(join(root, current))
  syncDirectory(root)
}

async function readAt(file: string, position: number, length: number): Promise<Buffer> {
  const handle = await open(file, 'r')
  try {
    const bytes = Buffer.alloc(length)
    let read = 0
    while (read < length) {
      const part = await handle.read(bytes, read, length - read, position + read)
      if (part.bytesRead === 0) throw new BelayError({ code: 'mismatch', message: 'a log is shorter than its row says' })
      read += part.bytesRead
    }
    return bytes
  } finally {
    await handle.close()
  }
}
