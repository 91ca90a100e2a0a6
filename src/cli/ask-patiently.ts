import { BelayError } from '../domain/errors.ts'
import type { Io } from './io.ts'

/** As long as an environment may need to come back to itself, and a server to be restarted. */
const patienceMs = 60_000
const pauseMs = 1_000

/**
 * Asks again while the answer is "not now", always with the same key, so that however often it arrives it is one request. Given up, it
 * may still be carried out, and the error says so.
 */
export async function askPatiently<T>(io: Pick<Io, 'signal'>, look: string, ask: () => Promise<T>): Promise<T> {
  const deadline = performance.now() + patienceMs
  for (let tries = 0; ; tries += 1) {
    try {
      return await ask()
    } catch (error) {
      if (!(error instanceof BelayError) || !error.retryable) throw error
      if (tries === 0 && neverArrived(error)) throw error
      if (performance.now() >= deadline || io.signal.aborted) throw givenUp(error, look)
    }
    await new Promise((resolve) => setTimeout(resolve, pauseMs))
  }
}

/** Nobody listened there: nothing can have been asked. */
function neverArrived(error: unknown): boolean {
  if (!(error instanceof Error)) return false
  return ('code' in error && ['ECONNREFUSED', 'ENOTFOUND'].includes(String(error.code))) || neverArrived(error.cause)
}

function givenUp(error: BelayError, look: string): BelayError {
  const hint = `It may yet be carried out: \`${look}\` shows it. ${error.hint ?? ''}`.trim()
  return new BelayError({ code: error.code, message: error.message, hint, retryable: true, cause: error })
}
