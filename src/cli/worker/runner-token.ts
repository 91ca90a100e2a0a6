import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { BelayError, messageOf } from '../../domain/errors.ts'
import type { Io } from '../io.ts'

const againMs = 250

/**
 * The runner's token, from BELAY_RUNNER_TOKEN, or from the file BELAY_RUNNER_TOKEN_FILE, which is waited for: a server that
 * starts for the first time has yet to write it. Throws `unauthenticated` if neither is set, `invalid_input` if the file is
 * there and cannot be read.
 */
export async function takeRunnerToken(io: Pick<Io, 'env' | 'cwd' | 'out'>): Promise<string> {
  const given = io.env['BELAY_RUNNER_TOKEN']
  if (given) return given
  const named = io.env['BELAY_RUNNER_TOKEN_FILE']
  if (!named) {
    const hint = 'It is the content of runner/token in the data directory of `belay up` or of the server.'
    const message = 'a runner needs its token in BELAY_RUNNER_TOKEN, or the file that holds it in BELAY_RUNNER_TOKEN_FILE'
    throw new BelayError({ code: 'unauthenticated', message, hint })
  }
  const file = resolve(io.cwd, named)
  for (let tries = 0; ; tries += 1) {
    const token = await readToken(file)
    if (token !== undefined) return token
    if (tries === 0) io.out(`waiting for the runner's token in ${file}\n`)
    await pause(againMs)
  }
}

/** Undefined while there is none. */
async function readToken(file: string): Promise<string | undefined> {
  try {
    return (await readFile(file, 'utf8')).trim() || undefined
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw new BelayError({
      code: 'invalid_input',
      message: `BELAY_RUNNER_TOKEN_FILE cannot be read: ${messageOf(error)}`,
      hint: `The user ${String(process.getuid?.() ?? '')} must be able to read ${file}.`,
      cause: error,
    })
  }
}
