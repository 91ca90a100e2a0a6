/** The cgroup of one attempt: its name, and which of its limits it has reached. */
import { randomBytes } from 'node:crypto'
import type { StepGroup } from '../process/cgroup.ts'

export interface AttemptName {
  runId: string
  epoch: number
  part: string
  step: string
  attempt: number
}

/** The beginning is the run's id, by which `closeWorkspace` finds what is left; the end makes it one of its kind. */
export function groupNameOf({ runId, epoch, part, step, attempt }: AttemptName): string {
  return [runId, `e${String(epoch)}`, part, step, String(attempt), randomBytes(3).toString('hex')].join('.')
}

export function limitsOf(group: StepGroup | undefined): string[] {
  return (group?.struckLimits() ?? []).map(({ message }) => message)
}
