import { z } from 'zod'

/**
 * A Plan: a pipeline compiled for one trigger. Pure data, no function and no registry reference in it, so that a new
 * step kind cannot break the replay of an old run. The same input gives the same Plan, byte for byte.
 */

/** `value` is plain text; `secret` names one of the operator's secrets and never holds its value. */
export const EnvValue = z.union([z.object({ value: z.string() }), z.object({ secret: z.string() })])
export type EnvValue = z.infer<typeof EnvValue>

export const Retry = z.object({
  /** Further attempts after the first. */
  max: z.number().int().min(0).max(10),
  on: z.array(z.enum(['failed', 'errored', 'timed_out'])),
  /** Only these exit codes of a failed command are tried again; empty: all. */
  exitCodes: z.array(z.number().int()),
  /** Wait before the next attempt; doubled each time. */
  backoffMs: z.number().int().nonnegative(),
})
export type Retry = z.infer<typeof Retry>

export const Commands = z.object({
  /** Lines of one script, run by `sh -e` (or `bash -eo pipefail`). */
  lines: z.array(z.string()),
  shell: z.enum(['sh', 'bash']),
  /** Inside the workspace, `.` for its root. */
  workingDirectory: z.string(),
})
export type Commands = z.infer<typeof Commands>

export const Undo = z.object({
  commands: Commands,
  env: z.record(z.string(), EnvValue),
  timeoutMs: z.number().int().positive(),
  /** Attempts in all. */
  attempts: z.number().int().positive(),
})
export type Undo = z.infer<typeof Undo>

const builtImage = {
  /** `shop/app`, or with a registry of the operator's `main/app`, where `main` is its name. */
  repository: z.string(),
  /** Name of the operator's registry that the image is pushed to: then the first part of `repository`. Absent: kept on disk. */
  registry: z.string().optional(),
  tags: z.array(z.string()),
  labels: z.record(z.string(), z.string()),
}

export const PackImage = z.object({
  builder: z.literal('pack'),
  ...builtImage,
  /** Path in the workspace (a file or a directory) → absolute path in the image. */
  files: z.record(z.string(), z.string()),
  entrypoint: z.array(z.string()).min(1),
  user: z.number().int().nonnegative().optional(),
})
export type PackImage = z.infer<typeof PackImage>

export const BuildDockerfile = z.object({
  builder: z.enum(['docker', 'buildah', 'auto']),
  ...builtImage,
  registry: z.string(),
  /** Directory inside the workspace, `.` for its root. */
  context: z.string(),
  /** File inside the workspace. */
  dockerfile: z.string(),
  /** Stage to build; absent: the last one. */
  target: z.string().optional(),
  /** Build arguments: they end in the image's history, so never a secret. */
  args: z.record(z.string(), z.string()),
  /** Id (`RUN --mount=type=secret,id=…`) → name of one of the operator's secrets. */
  secrets: z.record(z.string(), z.string()),
})
export type BuildDockerfile = z.infer<typeof BuildDockerfile>

export const BuildImage = z.discriminatedUnion('builder', [PackImage, BuildDockerfile])
export type BuildImage = z.infer<typeof BuildImage>

export const HealthCheck = z.object({
  /** Path asked for by GET; 2xx is healthy. */
  http: z.string(),
  intervalMs: z.number().int().positive(),
  /** Successes in a row that make it healthy. */
  healthyAfter: z.number().int().positive(),
  /** Failures in a row that make a healthy one unhealthy. */
  unhealthyAfter: z.number().int().positive(),
  /** It must be healthy within this time from its start. */
  timeoutMs: z.number().int().positive(),
})
export type HealthCheck = z.infer<typeof HealthCheck>

/** Changes an environment's data for a release. Commands are programs and their arguments, run where its application would run. */
export const Migrate = z.object({
  /** With the new image while the old release serves. It may run again after a kill. */
  up: z.array(z.string()).min(1),
  /** Takes it back, with the same image, once traffic is off that. Absent: it cannot be taken back. */
  down: z.array(z.string()).min(1).optional(),
  /** Of each run of either. */
  timeoutMs: z.number().int().positive(),
})
export type Migrate = z.infer<typeof Migrate>

export const Deploy = z.object({
  /** Where to, if that is one; a group has `environments` instead. */
  environment: z.string().optional(),
  /** A group, in the order in which it was written. Read both by `environmentsOf`. */
  environments: z.array(z.string()).min(1).optional(),
  /** How many of a group are deployed to at the same time; absent: `mostAtOnce`. */
  atOnce: z.number().int().positive().optional(),
  /** `recreate`: what serves is stopped before the new release starts; requests meanwhile are answered 503. */
  strategy: z.enum(['blue_green', 'recreate']),
  /** What the pipeline says on top of the environment's own check; it may only tighten it. */
  health: HealthCheck.partial(),
  /** How long the new release is watched under traffic before it counts as deployed. */
  bakeMs: z.number().int().nonnegative(),
  migrate: Migrate.optional(),
})
export type Deploy = z.infer<typeof Deploy>

export const MakeRelease = z.object({
  /** Steps whose artifacts and images go into the release. */
  from: z.array(z.string()).min(1),
  /** Free text for people; absent: the release's number. */
  version: z.string().optional(),
})

const common = {
  /** `[a-z][a-z0-9_]*`, unique in the plan. */
  id: z.string(),
  stage: z.string().optional(),
  /** Steps that must have succeeded before this one starts, written or implied by order. */
  needs: z.array(z.string()),
  env: z.record(z.string(), EnvValue),
  timeoutMs: z.number().int().positive(),
  retry: Retry,
  artifacts: z.object({ paths: z.array(z.string()), exclude: z.array(z.string()) }).optional(),
  undo: Undo.optional(),
  /** Once it has succeeded, what it comes after is not taken back any more: see `settling-points.ts`. */
  settle: z.literal(true).optional(),
  /** Why compile left this step out (its `when` did not match); it is skipped with this reason. */
  skip: z.string().optional(),
}

export const PlanStep = z.discriminatedUnion('kind', [
  z.object({
    ...common,
    kind: z.literal('commands'),
    commands: Commands,
    segment: z.number().int(),
    /** Once it has succeeded, the workspace is stored. */
    checkpoint: z.literal(true).optional(),
  }),
  z.object({ ...common, kind: z.literal('build_image'), buildImage: BuildImage, segment: z.number().int() }),
  z.object({ ...common, kind: z.literal('release'), release: MakeRelease }),
  z.object({ ...common, kind: z.literal('deploy'), deploy: Deploy }),
])
export type PlanStep = z.infer<typeof PlanStep>
export type StepKind = PlanStep['kind']
/** Steps that a runner executes, in its workspace. */
export type RunnerStep = Extract<PlanStep, { segment: number }>

/** A step of `finally`: commands, run once after undo, whatever happened. */
export const FinallyStep = z.object({
  id: z.string(),
  /** Ends of the run on which it runs; empty: all. */
  statuses: z.array(z.string()),
  commands: Commands,
  env: z.record(z.string(), EnvValue),
  timeoutMs: z.number().int().positive(),
  skip: z.string().optional(),
})
export type FinallyStep = z.infer<typeof FinallyStep>

/** Consecutive steps that a runner executes as one activity, in the order in which they were written. */
export const Segment = z.object({ id: z.number().int().nonnegative(), steps: z.array(z.string()).min(1) })
export type Segment = z.infer<typeof Segment>

export const Plan = z.object({
  /** The rule set of `advance` that this plan was compiled for. */
  rules: z.union([z.literal(1), z.literal(2)]),
  /** Name of the pipeline, and the file it came from. */
  pipeline: z.string(),
  file: z.string(),
  timeoutMs: z.number().int().positive(),
  /** In the order in which they were written. */
  steps: z.array(PlanStep).max(500),
  segments: z.array(Segment),
  finally: z.array(FinallyStep),
})
export type Plan = z.infer<typeof Plan>

/** Upper bounds of a plan: above them compile refuses. */
export const planLimits = { steps: 500, bytes: 512 * 1024, fileBytes: 1024 * 1024, depth: 64, aliases: 50 } as const

export function isRunnerStep(step: PlanStep): step is RunnerStep {
  return step.kind === 'commands' || step.kind === 'build_image'
}

/** The step of that id; throws if the plan has none, which compile rules out. */
export function loadStep(plan: Plan, id: string): PlanStep {
  const step = plan.steps.find((candidate) => candidate.id === id)
  if (step === undefined) throw new RangeError(`the plan has no step "${id}"`)
  return step
}

/** Where a step deploys to, in the order in which it was written. */
export function environmentsOf({ environment, environments = [] }: Pick<Deploy, 'environment' | 'environments'>): string[] {
  return environment === undefined ? [...environments] : [environment]
}

/** Pending activities are dear. */
export const mostAtOnce = 50

/** How many deployments of a group are under way at the same time, and how many come one after the other. */
export function paceOf(deploy: Pick<Deploy, 'environment' | 'environments' | 'atOnce'>): { atOnce: number; rounds: number } {
  const { length } = environmentsOf(deploy)
  const atOnce = Math.min(deploy.atOnce ?? mostAtOnce, length)
  return { atOnce, rounds: Math.ceil(length / atOnce) }
}

/** True if a run of this plan owes something to the outside once this step has begun. */
export function owesUndo(step: PlanStep): boolean {
  return step.kind === 'deploy' || step.undo !== undefined
}
