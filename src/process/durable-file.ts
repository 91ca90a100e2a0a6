/** Files that are on disk when the call returns, whole or not at all. */
import { closeSync, fdatasyncSync, fsyncSync, openSync, renameSync, writeSync } from 'node:fs'
import { dirname } from 'node:path'

/** Replaces the file's content in one step: temporary file, sync, rename, sync of the directory. */
export function writeFileDurably(file: string, content: string, mode = 0o600): void {
  const temporary = `${file}.${String(process.pid)}.tmp`
  const descriptor = openSync(temporary, 'w', mode)
  try {
    writeSync(descriptor, content)
    fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
  renameSync(temporary, file)
  syncDirectory(dirname(file))
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
  // Ends a line that a kill cut short; readers ignore empty lines.
  writeSync(descriptor, '\n')
  return {
    append(line) {
      writeSync(descriptor, `${JSON.stringify(line)}\n`)
      fdatasyncSync(descriptor)
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
