/** Files that are on disk when the call returns, whole or not at all. */
import { closeSync, fdatasyncSync, fsyncSync, openSync, renameSync, rmSync, writeSync } from 'node:fs'
import { dirname } from 'node:path'

/** Replaces the file's content in one step: temporary file, sync, rename, sync of the directory. Throws, and changes nothing, on a full disk. */
export function writeFileDurably(file: string, content: string, mode = 0o600): void {
  const temporary = `${file}.${String(process.pid)}.tmp`
  const descriptor = openSync(temporary, 'w', mode)
  try {
    writeAll(descriptor, content)
    fsyncSync(descriptor)
  } catch (error) {
    rmSync(temporary, { force: true })
    throw error
  } finally {
    closeSync(descriptor)
  }
  renameSync(temporary, file)
  syncDirectory(dirname(file))
}

/** A disk that is almost full takes a part and says how much; only the next write throws. */
export function writeAll(descriptor: number, content: string): void {
  const bytes = Buffer.from(content)
  for (let at = 0; at < bytes.length;) at += writeSync(descriptor, bytes, at)
}

export function syncDirectory(directory: string): void {
  const descriptor = openSync(directory, 'r')
  try {
    fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
}

/** A file of JSON lines, each on disk when `append` returns. A torn last line (a kill in mid-write) is ignored by readers. */
export interface SyncedLines {
  append(line: unknown): void
  close(): void
}

export function openSyncedLines(file: string): SyncedLines {
  const descriptor = openSync(file, 'a', 0o600)
  syncDirectory(dirname(file))
  /** A kill, or a full disk, may have cut the last line short: it is ended first. Readers ignore empty lines. */
  let torn = true
  return {
    append(line) {
      const text = `${torn ? '\n' : ''}${JSON.stringify(line)}\n`
      torn = true
      writeAll(descriptor, text)
      fdatasyncSync(descriptor)
      torn = false
    },
    close() {
      closeSync(descriptor)
    },
  }
}

/** The whole lines of such a file, parsed; a torn one is left out. */
export function parseLines(text: string): unknown[] {
  const lines: unknown[] = []
  for (const line of text.split('\n')) {
    try {
      if (line !== '') lines.push(JSON.parse(line))
    } catch {
      // The torn end of a write that was cut: it was never acknowledged.
    }
  }
  return lines
}
