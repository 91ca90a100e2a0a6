import { BelayError, messageOf } from '../../domain/errors.ts'
import { refuseLimits } from '../../process/cgroup.ts'
import { describeCgroups, findCgroups, type Cgroups } from '../../process/find-cgroups.ts'
import { stepLimitsOf } from '../up/up-parts.ts'
import type { Check, Finding } from './check.ts'

/** How steps are kept together, and whether the limits of the configuration can be kept. */
export const checkCgroups: Check = ({ config }) =>
  Promise.resolve(judgeCgroups(findCgroups(), config === undefined ? {} : stepLimitsOf(config)))

export function judgeCgroups(cgroups: Cgroups, limits: { memoryBytes?: number; pids?: number }): Finding[] {
  const found: Finding = {
    name: 'cgroups',
    state: cgroups.kind === 'none' ? 'note' : 'good',
    detail: describeCgroups(cgroups),
  }
  try {
    refuseLimits(cgroups, limits)
    return [found]
  } catch (error) {
    const mend = error instanceof BelayError ? error.hint : undefined
    return [found, { name: 'cgroups', state: 'bad', detail: messageOf(error), ...(mend === undefined ? {} : { mend }) }]
  }
}
