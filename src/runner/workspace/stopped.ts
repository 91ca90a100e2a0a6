import { BelayError } from '../../domain/errors.ts'

/** What work ends with when its signal fires: it may be asked for again. */
export function stopped(signal: AbortSignal): BelayError {
  return new BelayError({
    code: 'unavailable',
    message: 'stopped while the workspace was being prepared',
    retryable: true,
    cause: signal.reason,
  })
}

export function throwIfStopped(signal: AbortSignal): void {
  if (signal.aborted) throw stopped(signal)
}
