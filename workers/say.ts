import { writeSync } from 'node:fs'

/** A line for whoever reads our standard error; not a stream, which a disk that is full would break, and with it the process. */
export function say(line: string): void {
  try {
    writeSync(2, `${line}\n`)
  } catch {
    // There is nobody to tell.
  }
}
