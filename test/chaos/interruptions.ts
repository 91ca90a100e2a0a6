/** What the ledger says was broken, and when. */
import type { Ledger } from './evidence.ts'

/** Faults that cut short what is under way. */
const cutting = ['kill', 'stop', 'point', 'terminate']
/** So long after one is mended it may still be felt: heartbeat and grace. */
const feltForMs = 20_000

/** Was anything cut short by a fault in that time (ms since 1970)? */
export function wasCutBetween({ faults }: Pick<Ledger, 'faults'>, from: number, until: number, families = cutting): boolean {
  return faults.some(({ at, name, healedAt = Infinity }) => {
    const isOne = families.some((family) => name.startsWith(family))
    return isOne && at <= until && healedAt + feltForMs >= from
  })
}

/** How often the ledger says that this workflow was ended inside Temporal. */
export function timesEnded({ faults }: Pick<Ledger, 'faults'>, workflowId: string): number {
  return faults.filter(({ about }) => about === workflowId).length
}

/** Was a workflow of this run ended inside Temporal, whichever of its rounds or recoveries? */
export function wasRunEnded({ faults }: Pick<Ledger, 'faults'>, runId: string): boolean {
  return faults.some(({ about }) => about?.split('/')[1] === runId)
}
