/** Tries again for as long as an error says that it may pass. */
import { BelayError } from '../domain/errors.ts'
import { pause } from './stop.ts'

export interface RetryOptions {
  /** Ends the waiting; the last error is thrown then. */
  signal: AbortSignal
  firstDelayMs?: number
  longestDelayMs?: number
}

export async function retryWhileAway<T>(work: () => Promise<T>, options: RetryOptions): Promise<T> {
  const { signal, firstDelayMs = 100, longestDelayMs = 2_000 } = options
  for (let delayMs = firstDelayMs; ; delayMs = Math.min(delayMs * 2, longestDelayMs)) {
    try {
      return await work()
    } catch (error) {
      if (!isRetryable(error) || !(await pause(delayMs, signal))) throw error
    }
  }
}

export function isRetryable(error: unknown): boolean {
  return error instanceof BelayError && error.retryable
}

export function hasCode(error: unknown, ...codes: BelayError['code'][]): boolean {
  return error instanceof BelayError && codes.includes(error.code)
}
