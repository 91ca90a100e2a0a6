/** I5: of a run that has ended nothing is left but what is remembered of it; of an environment only what serves. */
import { isEndedRun } from '../../../src/domain/run.ts'
import { createFinding, type Finding } from '../finding.ts'
import type { Memory } from '../memory.ts'
import { findCgroups, findContainers, findMounts } from './leftovers/machine.ts'
import { findFiles, findScratch } from './leftovers/files.ts'
import { findInstances } from './leftovers/instances.ts'
import { findProcesses } from './leftovers/processes.ts'

/** What was found that should not be there, and how much was looked at. */
export interface Leftovers {
  looked: number
  left: { about: string; facts: string }[]
}

export async function nothingIsLeft(memory: Memory): Promise<Finding> {
  const finding = createFinding('I5')
  const ended = new Set(memory.runs.flatMap(({ run }) => (isEndedRun(run.status) ? [run.id] : [])))
  const findings: Record<string, Leftovers> = {
    processes: findProcesses(memory, ended),
    cgroups: await findCgroups(ended),
    containers: await findContainers(ended),
    mounts: findMounts(memory.world),
    files: await findFiles(memory.world, ended),
    scratch: await findScratch(memory.world),
    instances: findInstances(memory),
  }
  for (const [part, { looked, left }] of Object.entries(findings)) {
    finding.look(part, looked)
    for (const { about, facts } of left) finding.blame(about, facts)
  }
  return finding
}

/** The ended run that a name is about. */
export function findRunIn(name: string, ended: ReadonlySet<string>): string | undefined {
  const ids = name.match(/[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}/g) ?? []
  return ids.find((id) => ended.has(id))
}
