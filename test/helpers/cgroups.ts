/** Cgroups for a test: real ones below our own, gone at its end. */
import { randomBytes } from 'node:crypto'
import { openStepGroups, type StepGroups } from '../../src/process/cgroup.ts'
import { existsSync } from 'node:fs'
import type { StepLimits } from '../../src/process/cgroup-limits.ts'
import { findCgroups, type Cgroups } from '../../src/process/find-cgroups.ts'

/** Undefined if steps can be grouped and limited here. */
export function cgroupsMissing(): string | undefined {
  const { kill, memory, pids, obstacles } = findCgroups()
  if (kill !== undefined && memory !== undefined && pids !== undefined) return undefined
  return `needs cgroups that it may write to, with the controllers memory and pids: ${obstacles.join('; ')}`
}

export interface TestGroups {
  groups: StepGroups
  /** Ends all of them; throws if one could not be removed. */
  end(): Promise<void>
}

export function openTestGroups(limits: StepLimits = {}, cgroups: Cgroups = findCgroups()): TestGroups {
  const groups = openStepGroups({ cgroups, id: randomBytes(6).toString('hex'), limits })
  if (groups === undefined) throw new Error('there are no cgroups here')
  return {
    groups,
    async end() {
      await groups.endAll('')
      groups.close()
      requireGone(groups.parents)
    },
  }
}

export function requireGone(groups: readonly string[]): void {
  const left = groups.filter((group) => existsSync(group))
  if (left.length > 0) throw new Error(`left behind: ${left.join(', ')}`)
}
