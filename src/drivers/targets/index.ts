import { createDockerTarget, type DockerTargetOptions } from './docker/docker-target.ts'
import { createProcessTarget, type ProcessTargetOptions } from './process/process-target.ts'
import type { Target } from './target.ts'

/** What the targets of one deployer are made of; each takes what it needs. */
export type TargetDeps = ProcessTargetOptions & DockerTargetOptions

/** A kind of target, as `environments.NAME.target` in the configuration names it. */
interface TargetKind {
  kind: string
  create(deps: TargetDeps): Target
}

/** All targets that Belay knows. A new one is a folder and a line here. */
export const targets = [
  { kind: 'process', create: createProcessTarget },
  { kind: 'docker', create: createDockerTarget },
] as const satisfies readonly TargetKind[]
