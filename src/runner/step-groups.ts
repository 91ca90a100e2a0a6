/** The cgroups of this runner's steps, and those of its earlier lives: where they lie is written down in its directory. */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { z } from 'zod'
import { endGroups, openStepGroups, parentName, type StepGroups } from '../process/cgroup.ts'
import { removeIfEmpty } from '../process/cgroup-files.ts'
import type { StepLimits } from '../process/cgroup-limits.ts'
import { writeFileDurably } from '../process/durable-file.ts'
import type { Cgroups } from '../process/find-cgroups.ts'

export interface RunnerGroups {
  /** Absent: steps are process groups only. */
  steps?: StepGroups
  /** Kills what earlier lives have left in theirs, and removes them; before any work. */
  endEarlier(): Promise<void>
  /** In order: the directory is given back. */
  close(): void
}

const Places = z.object({ parents: z.array(z.string()) })

/** `directory`: the runner's own, absolute. Throws `missing_part` (a limit that cannot be kept), `unavailable`. */
export function openRunnerGroups(directory: string, cgroups: Cgroups, limits: StepLimits): RunnerGroups {
  const earlier = findGroupPlaces(directory)
  const steps = openStepGroups({ cgroups, id: idOf(directory), limits })
  const parents = steps?.parents ?? []
  const note = (places: readonly string[]) => {
    writeFileDurably(fileOf(directory), JSON.stringify({ parents: [...places] } satisfies z.infer<typeof Places>))
  }
  note([...new Set([...earlier, ...parents])])
  return {
    ...(steps === undefined ? {} : { steps }),
    async endEarlier() {
      await endGroups(earlier)
      for (const parent of earlier) if (!parents.includes(parent)) removeIfEmpty(parent)
      note(parents)
    },
    close: () => steps?.close(),
  }
}

/** For the watchdog of a runner that has died: what is left in its groups, and the groups themselves. */
export async function endGroupsOf(directory: string): Promise<void> {
  const parents = findGroupPlaces(directory)
  await endGroups(parents)
  for (const parent of parents) removeIfEmpty(parent)
}

/** Nothing but groups of our own making is ever named, whatever the file says. */
export function findGroupPlaces(directory: string): string[] {
  try {
    const { parents } = Places.parse(JSON.parse(readFileSync(fileOf(directory), 'utf8')))
    return parents.filter((parent) => basename(parent) === parentName(idOf(directory)))
  } catch {
    // The first life; or a file that is not ours, which names nothing of ours.
    return []
  }
}

/** Two Belays of one machine have different directories. */
function idOf(directory: string): string {
  return createHash('sha256').update(directory).digest('hex').slice(0, 12)
}

function fileOf(directory: string): string {
  return join(directory, 'cgroups.json')
}
