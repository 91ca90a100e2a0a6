import { createProcessTarget } from './process/process-target.ts'
import type { Target } from './target.ts'

/** A kind of target, as `environments.NAME.target` in the configuration names it. */
interface TargetKind {
  kind: string
  create(options: never): Target
}

/** All targets that Belay knows. A new one is a folder and a line here. */
export const targets = [{ kind: 'process', create: createProcessTarget }] as const satisfies readonly TargetKind[]
