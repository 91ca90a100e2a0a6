/**
 * Named moments between two lines, for the proof that a death there does no harm. Inert unless BELAY_FAULT_POINTS names a
 * directory. A file there that is called like a moment is taken by the first process that comes by, and by no other; its
 * text says what befalls that process: `kill` (SIGKILL), `stop` (SIGSTOP) or `throw` (as if the answer had been lost).
 */
import { readFileSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import { BelayError } from '../domain/errors.ts'

const directory = process.env['BELAY_FAULT_POINTS'] ?? ''

/** `name`: `[a-zA-Z0-9._-]+`. Throws only where a file says so. */
export function faultPoint(name: string): void {
  if (directory !== '') strike(name)
}

function strike(name: string): void {
  const taken = join(directory, `${name}.taken.${String(process.pid)}`)
  try {
    renameSync(join(directory, name), taken)
  } catch {
    // Nothing is to happen here, or another process was quicker.
    return
  }
  const what = readFileSync(taken, 'utf8').trim()
  if (what === 'throw') {
    throw new BelayError({ code: 'unavailable', message: `the fault point ${name} was armed`, retryable: true })
  }
  process.kill(process.pid, what === 'stop' ? 'SIGSTOP' : 'SIGKILL')
}
