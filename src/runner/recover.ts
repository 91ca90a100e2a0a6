/** What a runner does before anything else: end what its earlier life left behind, and tell Temporal at once. */
import type { RunnerRestartedDetails } from '../contract/failures.ts'
import { stopGroup } from '../process/spawn.ts'
import type { JournalRecord, Journals } from './journal.ts'
import { hadSteps, killTagged, tagOf } from './leftovers.ts'
import type { Log } from './log.ts'
import type { LogShipper } from './log-shipper.ts'

export interface RecoverDeps {
  journals: Journals
  /** Kills what is left in the cgroups of earlier lives. */
  endEarlierGroups?: (() => Promise<void>) | undefined
  shipper: Pick<LogShipper, 'resume' | 'settle'>
  /**
   * Fails the activity of that task token as `RunnerRestarted`; an activity that is over is success. Tries for as long as
   * Temporal is away.
   */
  failActivity(token: string, details: RunnerRestartedDetails): Promise<void>
  log: Log
}

/** Little, because nobody reads their output any more. */
const graceMs = 500
/** How long the logs of cut steps may take before the next epoch makes the server refuse them. */
const shippingMs = 1_500

export async function recover(deps: RecoverDeps): Promise<void> {
  const records = deps.journals.list().filter((record) => !record.reported)
  await killRemains(records)
  await deps.endEarlierGroups?.()
  deps.shipper.resume()
  await deps.shipper.settle(shippingMs)
  await Promise.all(records.map((record) => report(deps, record)))
  if (records.length > 0) deps.log.info({ activities: records.length }, 'told Temporal about the activities of an earlier life')
}

async function killRemains(records: readonly JournalRecord[]): Promise<void> {
  await Promise.all(records.flatMap((record) => record.identities).map((identity) => stopGroup(identity, graceMs)))
  const tags = new Set(records.filter(hadSteps).map((record) => tagOf(record.begun)))
  for (const tag of tags) await killTagged(tag)
}

/** Also of an activity that had returned: whether Temporal heard of it is not known. */
async function report(deps: RecoverDeps, record: JournalRecord): Promise<void> {
  await deps.failActivity(record.begun.token, { outcomes: record.outcomes, interrupted: record.interrupted })
  deps.journals.markReported(record)
}
