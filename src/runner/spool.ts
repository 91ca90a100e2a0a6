/** One log on the runner's disk: masked bytes, synced in groups, read again by the shipper. */
import { closeSync, fdatasync, fstatSync, mkdirSync, openSync, read, renameSync, rmdirSync, unlinkSync, writeSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { logLimitBytes } from '../contract/runner-api.ts'
import { messageOf } from '../domain/errors.ts'
import type { Log } from './log.ts'

/** Which log it is; the plan's digest is kept with it because a token is asked for by it. */
export interface LogName {
  runId: string
  planDigest: string
  step: string
  attempt: number
  epoch: number
  part: 'step' | 'undo' | 'finally'
}

export interface Spool {
  readonly name: LogName
  /** Never throws and never waits: a log that cannot be kept stops no step. */
  write(bytes: Uint8Array): void
  /** Nothing more will be written. */
  close(): void
  /** Bytes that are on disk for good. */
  syncedEnd(): number
  /** True once it is closed and all of it is synced. */
  isComplete(): boolean
  /** Resolves when there is more than `after`, when it is complete, or when the signal says stop. */
  whenGrown(after: number, signal: AbortSignal): Promise<void>
  read(offset: number, length: number): Promise<Buffer>
  /** Forgets the file but keeps it for the next start. */
  leave(): void
  /** Removes the file. */
  discard(): void
}

const syncEveryMs = 200
const fullNotice = Buffer.from('\n[belay] the log is full (100 MB); the rest is dropped\n')
const openSuffix = '.open'
const sync = promisify(fdatasync)
const readAt = promisify(read)

/** `spool/<run>/<plan>/<step>/<attempt>.<epoch>.<part>`, with `.open` for as long as it is written. */
export function spoolFileOf(directory: string, name: LogName): string {
  const plan = name.planDigest.replace(':', '-')
  return join(directory, name.runId, plan, name.step, `${String(name.attempt)}.${String(name.epoch)}.${name.part}`)
}

/** Opens the log of that name, going on at its end if there is one already. */
export function openSpool(options: { directory: string; name: LogName; log: Log }): Spool {
  const { name, log } = options
  const file = spoolFileOf(options.directory, name)
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 })
  const descriptor = openSync(`${file}${openSuffix}`, 'a+', 0o600)
  let written = fstatSync(descriptor).size
  let synced = written
  let state: 'open' | 'closed' | 'complete' | 'left' = 'open'
  let broken = false
  let timer: NodeJS.Timeout | undefined
  let syncing = Promise.resolve()
  const waiters = new Set<() => void>()
  const wake = () => {
    for (const waiter of [...waiters]) waiter()
  }
  const syncNow = () => {
    clearTimeout(timer)
    timer = undefined
    syncing = syncing
      .then(() => syncOnce())
      .catch((error: unknown) => log.error({ ...name, error: messageOf(error) }, 'cannot sync a log'))
  }
  const syncOnce = async () => {
    const end = written
    const closed = state === 'closed'
    if (state === 'left' || state === 'complete') return
    if (end > synced) await sync(descriptor)
    synced = end
    if (closed) {
      renameSync(`${file}${openSuffix}`, file)
      state = 'complete'
    }
    wake()
  }
  const append = (bytes: Uint8Array) => {
    for (let at = 0; at < bytes.length;) {
      const count = writeSync(descriptor, bytes, at)
      at += count
      written += count
    }
  }
  const forget = () => {
    clearTimeout(timer)
    state = 'left'
    closeSync(descriptor)
    wake()
  }
  return {
    name,
    write(bytes) {
      if (broken || state !== 'open' || bytes.length === 0) return
      try {
        const room = logLimitBytes - fullNotice.length - written
        append(bytes.length > room ? bytes.subarray(0, Math.max(0, room)) : bytes)
        if (bytes.length > room) append(fullNotice)
        broken = bytes.length > room
      } catch (error) {
        broken = true
        log.error({ ...name, error: messageOf(error) }, 'cannot keep a log; the rest of it is lost')
      }
      timer ??= setTimeout(syncNow, syncEveryMs)
    },
    close() {
      if (state !== 'open') return
      state = 'closed'
      syncNow()
    },
    syncedEnd: () => synced,
    isComplete: () => state === 'complete',
    async whenGrown(after, signal) {
      if (synced > after || state === 'complete' || state === 'left' || signal.aborted) return
      await new Promise<void>((resolve) => {
        const finish = () => {
          waiters.delete(finish)
          signal.removeEventListener('abort', finish)
          resolve()
        }
        waiters.add(finish)
        signal.addEventListener('abort', finish, { once: true })
      })
    },
    async read(offset, length) {
      const { buffer, bytesRead } = await readAt(
        descriptor,
        Buffer.alloc(Math.min(length, synced - offset)),
        0,
        Math.min(length, synced - offset),
        offset,
      )
      return buffer.subarray(0, bytesRead)
    },
    leave: forget,
    discard() {
      const complete = state === 'complete'
      forget()
      unlinkSync(complete ? file : `${file}${openSuffix}`)
      removeEmptyParents(dirname(file), 3)
    },
  }
}

function removeEmptyParents(directory: string, levels: number): void {
  try {
    rmdirSync(directory)
  } catch {
    // Another log lies in it.
    return
  }
  if (levels > 1) removeEmptyParents(dirname(directory), levels - 1)
}
