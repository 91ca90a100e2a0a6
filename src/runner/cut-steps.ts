/** What the watchdog does to a runner that is not heard of: its steps end, and it will know why. In a process of its own. */
import { join } from 'node:path'
import { listGroups } from '../process/cgroup.ts'
import { killDirectory } from '../process/cgroup-files.ts'
import { stopGroup } from '../process/spawn.ts'
import { createJournals, type JournalRecord, type Journals } from './journal.ts'
import { killStepOf } from './leftovers.ts'
import { findGroupPlaces } from './step-groups.ts'

/**
 * Kills every step that runs, and returns their names; resolves when nothing of them is left. In this order, since the
 * runner may go on at any moment: the groups are listed, the steps are noted as cut, and only what was listed or noted is
 * killed. A step that begins meanwhile is left alone. A disk that is full or broken saves no step: what could not be read or
 * noted is thrown once all have been killed.
 */
export async function cutSteps(directory: string): Promise<string[]> {
  const faults: unknown[] = []
  const groups = listGroups(findGroupPlaces(directory))
  const journals = createJournals(join(directory, 'journal'))
  const records = journals
    .listReadable((error) => faults.push(error))
    .filter(({ returned, reported, running }) => !returned && !reported && running.length > 0)
  const newly = records.flatMap((record) => markCut(journals, record, faults))
  const kills = [
    ...groups.map(killDirectory),
    ...records.flatMap(({ identities }) => identities.map(async (identity) => await stopGroup(identity, 0))),
  ]
  for (const ended of await Promise.allSettled(kills)) if (ended.status === 'rejected') faults.push(ended.reason)
  for (const { begun, running } of records) for (const { step, attempt } of running) await killStepOf(begun, step, attempt)
  if (faults.length > 0) throw faults[0]
  return newly
}

/** The steps of it that had not been cut before. */
function markCut(journals: Journals, record: JournalRecord, faults: unknown[]): string[] {
  const steps = record.running.filter(({ cut }) => !cut)
  try {
    if (steps.length > 0) journals.markCut(record, steps)
  } catch (error) {
    faults.push(error)
  }
  return steps.map(({ step }) => `${record.begun.runId}/${step}`)
}
