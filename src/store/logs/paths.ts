import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { BelayError } from '../../domain/errors.ts'
import type { LogKey } from '../store.ts'

/** Where the bytes of a log lie below the logs' directory. Nothing in a key can lead out of it. */
export function logPath(key: LogKey): { directory: string; file: string } {
  if (!/^[0-9a-f][0-9a-f-]{35}$/.test(key.runId)) {
    throw new BelayError({ code: 'invalid_input', message: 'a log belongs to a run, named by its id' })
  }
  const directory = runDirectory(key.runId)
  const name = [fileNameOf(key.step), String(key.attempt), String(key.epoch), key.part, 'log'].join('.')
  return { directory, file: join(directory, name) }
}

export function runDirectory(runId: string): string {
  return join(runId.slice(0, 2), runId)
}

/** The step's id where it is a plain name; else something as unique that any file system takes. */
function fileNameOf(step: string): string {
  if (/^[a-z][a-z0-9_]{0,99}$/.test(step)) return step
  return `-${createHash('sha256').update(step).digest('hex')}`
}
