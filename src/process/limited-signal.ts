/**
 * Aborted when the signal is, with its reason, or after that time (ms), with a `TimeoutError`. `AbortSignal.any` over an
 * `AbortSignal.timeout` that nobody else holds says the same, but Node 20 collects the timeout as garbage, and it never fires:
 * here the timer holds it.
 */
export function limitedSignal(ms: number, signal?: AbortSignal): AbortSignal {
  const limit = new AbortController()
  const end = (): void => limit.abort(new DOMException(`the time limit of ${String(ms)} ms is over`, 'TimeoutError'))
  setTimeout(end, ms).unref()
  return signal === undefined ? limit.signal : AbortSignal.any([signal, limit.signal])
}
