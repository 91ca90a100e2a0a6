import type { Totals } from '../edge.ts'

/** What the edge counts: requests and errors by release, requests under way by instance. */
export interface Traffic {
  /** A request goes to this instance. The function returned ends it; only its first call counts. */
  begin(instance: { id: string; digest: string }): (outcome: 'good' | 'error' | 'uncounted') => void
  inFlight(instanceId: string): number
  /** Resolves when nothing is under way there, after `limitMs` at the latest; rejects when the signal is aborted. */
  drained(instanceId: string, limitMs: number, signal?: AbortSignal): Promise<void>
  totals(): Record<string, Totals>
  /** Starts a release's totals again, at its activation. */
  reset(digest: string): void
}

export function createTraffic(start: Readonly<Record<string, Totals>> = {}): Traffic {
  const totals = new Map<string, Totals>(Object.entries(start))
  const under = new Map<string, number>()
  const waiting = new Map<string, Set<() => void>>()

  function count(digest: string, outcome: 'good' | 'error' | 'uncounted'): void {
    if (outcome === 'uncounted') return
    const before = totals.get(digest) ?? { requests: 0, errors: 0 }
    totals.set(digest, { requests: before.requests + 1, errors: before.errors + (outcome === 'error' ? 1 : 0) })
  }

  function leave(id: string): void {
    const left = (under.get(id) ?? 1) - 1
    if (left > 0) return void under.set(id, left)
    under.delete(id)
    for (const tell of waiting.get(id) ?? []) tell()
  }

  return {
    begin({ id, digest }) {
      under.set(id, (under.get(id) ?? 0) + 1)
      let ended = false
      return (outcome) => {
        if (ended) return
        ended = true
        count(digest, outcome)
        leave(id)
      }
    },
    inFlight: (id) => under.get(id) ?? 0,
    async drained(id, limitMs, signal) {
      signal?.throwIfAborted()
      if (!under.has(id)) return
      const listeners = waiting.get(id) ?? new Set()
      waiting.set(id, listeners)
      await new Promise<void>((resolve) => {
        const end = (): void => {
          clearTimeout(timer)
          listeners.delete(end)
          signal?.removeEventListener('abort', end)
          resolve()
        }
        const timer = setTimeout(end, limitMs)
        listeners.add(end)
        signal?.addEventListener('abort', end)
      })
      signal?.throwIfAborted()
    },
    totals: () => Object.fromEntries(totals),
    reset: (digest) => void totals.set(digest, { requests: 0, errors: 0 }),
  }
}
