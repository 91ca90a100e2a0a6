/** Which line of a script was the last to begin: a number in a file that the step itself writes, so nothing to rely on. */
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs'

/** From 1; undefined if there is no sensible number. Follows no link, and waits for no pipe. */
export function readProgress(file: string, lines: number): number | undefined {
  let descriptor: number
  try {
    descriptor = openSync(file, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  } catch {
    // The step removed it, or never got so far: the failing line goes unnamed.
    return undefined
  }
  try {
    if (!fstatSync(descriptor).isFile()) return undefined
    const buffer = Buffer.alloc(8)
    const text = buffer.toString('latin1', 0, readSync(descriptor, buffer, 0, buffer.length, 0))
    const line = /^\d+$/.test(text) ? Number(text) : 0
    return line >= 1 && line <= lines ? line : undefined
  } finally {
    closeSync(descriptor)
  }
}
