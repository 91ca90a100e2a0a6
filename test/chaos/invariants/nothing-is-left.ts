/** I5: of a run that has ended nothing is left but what is remembered of it; of an environment only what serves. */
import { isEndedRun } from '../../../src/domain/run.ts'
import { createFinding, type Finding } from '../finding.ts'
import type { Memory } from '../memory.ts'
import { findCgroups, findContainers, findMounts } from './leftovers/machine.ts'
import { findFiles, findScratch } from './leftovers/files.ts'
import { findInstances } from './leftovers/instances.ts'
import { findPorts } from './leftovers/ports.ts'
import { findProcesses } from './leftovers/processes.ts'

/** What was found that should not be there, and how much was looked at. */
export interface Leftovers {
  looked: number
  left: { about: string; facts: string }[]
}

export interface Patience {
  /** A runner sweeps what it missed, now and then: so long its directories may keep what is left of ended runs. */
  sweptWithinMs: number
}

const lookEveryMs = 2_000

export async function nothingIsLeft(memory: Memory, { sweptWithinMs }: Patience = { sweptWithinMs: 0 }): Promise<Finding> {
  const finding = createFinding('I5')
  const ended = new Set(memory.runs.flatMap(({ run }) => (isEndedRun(run.status) ? [run.id] : [])))
  const findings: Record<string, Leftovers> = {
    processes: findProcesses(memory, ended),
    ports: findPorts(memory),
    cgroups: await findCgroups(ended),
    containers: await findContainers(ended),
    mounts: findMounts(memory.world),
    files: await lookUntilNothing(() => findFiles(memory.world, ended), sweptWithinMs),
    scratch: await findScratch(memory.world),
    instances: findInstances(memory),
  }
  for (const [part, { looked, left }] of Object.entries(findings)) {
    finding.look(part, looked)
    for (const { about, facts } of left) finding.blame(about, facts)
  }
  return finding
}

async function lookUntilNothing(look: () => Promise<Leftovers>, withinMs: number): Promise<Leftovers> {
  const deadline = Date.now() + withinMs
  for (;;) {
    const found = await look()
    if (found.left.length === 0 || Date.now() >= deadline) return found
    await new Promise((resolve) => setTimeout(resolve, Math.min(lookEveryMs, deadline - Date.now())))
  }
}

/** The ended run that a name is about. */
export function findRunIn(name: string, ended: ReadonlySet<string>): string | undefined {
  const ids = name.match(/[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}/g) ?? []
  return ids.find((id) => ended.has(id))
}
