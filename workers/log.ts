import { pino, type Logger } from 'pino'

/** So much is kept in memory while it cannot be written, and comes once it can; what is more is lost. */
const mostBytesHeld = 1024 * 1024

/**
 * The log of a process: JSON lines to standard output, or to that descriptor. A line that cannot be written (a disk that is
 * full) ends nothing: without a listener for it, the error would end the process.
 */
export function createLog(name: string, descriptor = 1): Logger {
  const destination = pino.destination({ dest: descriptor, sync: true, maxLength: mostBytesHeld })
  destination.on('error', () => undefined)
  return pino({ name }, destination)
}
