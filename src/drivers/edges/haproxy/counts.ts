/** Counts by release, out of counters by slot that begin again whenever HAProxy does. */
import { z } from 'zod'
import type { Totals } from '../edge.ts'
import type { SlotState } from './parse-slots.ts'

const TotalsSchema = z.object({ requests: z.number(), errors: z.number() })
/** To go on from after a restart of the keeper: HAProxy may have counted on meanwhile. */
export const SavedCounts = z.object({ totals: z.record(z.string(), TotalsSchema), seen: z.record(z.string(), TotalsSchema) })
export type SavedCounts = z.infer<typeof SavedCounts>

export interface Counts {
  /** Adds what was counted since the last look, to the release that the slot belongs to. */
  add(states: readonly SlotState[], digestOf: (slot: string) => string | undefined): void
  /** HAProxy was started: its counters are at zero. */
  beginAgain(): void
  reset(digest: string): void
  totals(): Record<string, Totals>
  save(): SavedCounts
}

export function createCounts(start: Readonly<Record<string, Totals>>, saved?: SavedCounts): Counts {
  const totals = new Map<string, Totals>(Object.entries(saved?.totals ?? start))
  let seen = new Map<string, Totals>(Object.entries(saved?.seen ?? {}))
  /** Whatever of theirs was not looked at yet belongs to the time before. */
  const resetting = new Set<string>()

  return {
    add(states, digestOf) {
      for (const { slot, requests, errors } of states) {
        const before = seen.get(slot) ?? { requests: 0, errors: 0 }
        const digest = digestOf(slot)
        seen.set(slot, { requests, errors })
        if (digest === undefined || resetting.has(digest)) continue
        const total = totals.get(digest) ?? { requests: 0, errors: 0 }
        const more = { requests: requests - before.requests, errors: errors - before.errors }
        if (more.requests === 0 && more.errors === 0) continue
        totals.set(digest, { requests: total.requests + more.requests, errors: total.errors + more.errors })
      }
      resetting.clear()
    },
    beginAgain() {
      seen = new Map()
    },
    reset(digest) {
      totals.set(digest, { requests: 0, errors: 0 })
      resetting.add(digest)
    },
    // A try that is being repeated is counted and taken back later: for a moment the sum may be one too low.
    totals: () => Object.fromEntries([...totals].map(([digest, total]) => [digest, sane(total)])),
    save: () => ({ totals: Object.fromEntries(totals), seen: Object.fromEntries(seen) }),
  }
}

function sane({ requests, errors }: Totals): Totals {
  return { requests: Math.max(requests, 0), errors: Math.min(Math.max(errors, 0), Math.max(requests, 0)) }
}
