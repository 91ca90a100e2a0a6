import { setTimeout as pause } from 'node:timers/promises'
import { BelayError } from '../domain/errors.ts'
import { Fault } from './fault.ts'

export interface Limits {
  /** In all. */
  attempts: number
  silenceMs: number
  /** Of one request, whatever it moves. */
  mostMs: number
  firstWaitMs: number
  mostWaitMs: number
  /** However long a registry asks us to wait, no longer than this. */
  mostAskedWaitMs: number
}

export const defaultLimits: Limits = {
  attempts: 6,
  silenceMs: 30_000,
  mostMs: 3_600_000,
  firstWaitMs: 500,
  mostWaitMs: 10_000,
  mostAskedWaitMs: 60_000,
}

export interface InsistInput {
  /** `push the blob sha256:…`, to complete "could not …". */
  what: string
  registry: string
  limits: Limits
  signal: AbortSignal
  log(line: string): void
}

/** Tries again after each `Fault`, a little later each time. The last one is thrown as `unavailable`; anything else at once. */
export async function insist<T>({ what, registry, limits, signal, log }: InsistInput, attempt: () => Promise<T>): Promise<T> {
  for (let tried = 1; ; tried += 1) {
    signal.throwIfAborted()
    try {
      return await attempt()
    } catch (error) {
      signal.throwIfAborted()
      if (!(error instanceof Fault)) throw error
      if (tried >= limits.attempts) throw givenUp({ what, registry, tried, error })
      const doubled = Math.min(limits.mostWaitMs, limits.firstWaitMs * 2 ** (tried - 1))
      const waitMs = Math.max(doubled, Math.min(limits.mostAskedWaitMs, error.afterMs ?? 0))
      log(`registry ${registry}: ${error.message}; trying again in ${String(waitMs)} ms`)
      await pause(waitMs, undefined, { signal }).catch(() => {
        signal.throwIfAborted()
      })
    }
  }
}

function givenUp(input: { what: string; registry: string; tried: number; error: Fault }): BelayError {
  const { what, registry, tried, error } = input
  return new BelayError({
    code: 'unavailable',
    message: `could not ${what}: after ${String(tried)} attempts: ${error.message}`,
    hint: `Is the registry of \`registries.${registry}\` up, and can it be reached from here?`,
    retryable: true,
    cause: error,
  })
}
