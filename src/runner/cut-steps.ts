/** What the watchdog does to a runner that is not heard of: its steps end, and it will know why. In a process of its own. */
import { join } from 'node:path'
import { listGroups } from '../process/cgroup.ts'
import { killDirectory } from '../process/cgroup-files.ts'
import { stopGroup } from '../process/spawn.ts'
import { createJournals } from './journal.ts'
import { killStepOf } from './leftovers.ts'
import { findGroupPlaces } from './step-groups.ts'

/**
 * Kills every step that runs, and returns their names; resolves when nothing of them is left. In this order, since the
 * runner may go on at any moment: the groups are listed, the steps are noted as cut, and only what was listed or noted is
 * killed. A step that begins meanwhile is left alone.
 */
export async function cutSteps(directory: string): Promise<string[]> {
  const groups = listGroups(findGroupPlaces(directory))
  const journals = createJournals(join(directory, 'journal'))
  const records = journals.list().filter(({ returned, reported, running }) => !returned && !reported && running.length > 0)
  const newly: string[] = []
  for (const record of records) {
    const steps = record.running.filter(({ cut }) => !cut)
    journals.markCut(record, steps)
    newly.push(...steps.map(({ step }) => `${record.begun.runId}/${step}`))
  }
  await Promise.all([
    ...groups.map(killDirectory),
    ...records.flatMap(({ identities }) => identities.map(async (identity) => await stopGroup(identity, 0))),
  ])
  for (const { begun, running } of records) for (const { step, attempt } of running) await killStepOf(begun, step, attempt)
  return newly
}
