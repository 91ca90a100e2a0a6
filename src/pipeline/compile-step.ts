import type { BuildImage, Commands, Deploy, EnvValue, FinallyStep, Migrate, PlanStep, Retry, Undo } from '../domain/plan.ts'
import { paceOf } from '../domain/plan.ts'
import type { Trigger } from '../domain/trigger.ts'
import { defaults } from './defaults.ts'
import type { FinallySource, FinallySpec, PipelineDocument, StepBody, StepSource, StepSpec } from './document.ts'
import type { Variables } from './expressions.ts'
import { expandTemplate } from './expressions.ts'
import { matchesCondition, matchesWhen } from './matches-trigger.ts'
import type { Problem } from './problem.ts'
import { problemAtValue, quote } from './problem.ts'
import type { ProjectRules } from './project-rules.ts'
import { registryOf } from './project-rules.ts'

export interface CompileStepInput {
  document: PipelineDocument
  trigger: Trigger
  variables: Variables
  source: StepSource
  /** Written or implied. */
  needs: string[]
  /** Of a runner's step; otherwise unused. */
  segment: number
  rules: Pick<ProjectRules, 'registries' | 'source'>
}

/** One step with everything filled in that the file left out. Problems: values that the trigger made bad. */
export function compileStep(input: CompileStepInput): { step: PlanStep } | { problems: Problem[] } {
  const { document, trigger, source, segment } = input
  const { spec, body } = source
  const match = matchesWhen(spec.when, trigger)
  const common = {
    id: source.id,
    ...(source.stage === undefined ? {} : { stage: source.stage }),
    needs: input.needs,
    env: {} as Record<string, EnvValue>,
    timeoutMs: spec.timeout ?? defaults.stepTimeoutMs + bakeOf(body) + migrationOf(body),
    retry: retryOf(spec.retry),
    ...(spec.settle === true ? { settle: true as const } : {}),
    ...(match === true ? {} : { skip: match }),
  }
  switch (body.kind) {
    case 'commands': {
      const { artifacts } = spec
      const kept = artifacts === undefined ? {} : { artifacts: { paths: artifacts.paths, exclude: artifacts.exclude ?? [] } }
      const undo = spec.undo === undefined ? {} : { undo: undoOf(document, spec, spec.undo) }
      const env = { ...document.env, ...spec.env }
      const checkpoint = spec.checkpoint === true ? { checkpoint: true as const } : {}
      const commands = commandsOf(body.lines, spec)
      return { step: { ...common, env, ...kept, ...undo, ...checkpoint, kind: 'commands', commands, segment } }
    }
    case 'build_image': {
      const built = buildImageOf(input, body.buildImage)
      return 'problems' in built ? built : { step: { ...common, kind: 'build_image', buildImage: built.buildImage, segment } }
    }
    case 'release':
      return releaseOf(input, body, common)
    case 'deploy':
      return { step: { ...common, kind: 'deploy', deploy: deployOf(body.deploy) } }
  }
}

export function compileFinally(input: { document: PipelineDocument; trigger: Trigger; source: FinallySource }): FinallyStep {
  const { document, trigger, source } = input
  const { spec } = source
  const match = matchesWhen(spec.when, trigger)
  const alternatives = (spec.when ?? []).filter((condition) => matchesCondition(condition, trigger))
  // An alternative that names no status holds for every one.
  const statuses = alternatives.some(({ status }) => status === undefined)
    ? []
    : alternatives.flatMap(({ status }) => status ?? [])
  return {
    id: source.id,
    statuses: [...new Set(statuses)],
    commands: commandsOf(source.lines, spec),
    env: { ...document.env, ...spec.env },
    timeoutMs: spec.timeout ?? defaults.stepTimeoutMs,
    ...(match === true ? {} : { skip: match }),
  }
}

function commandsOf(
  lines: string[],
  { shell = 'sh', working_directory: workingDirectory = '.' }: StepSpec | FinallySpec,
): Commands {
  return { lines, shell, workingDirectory }
}

function retryOf(retry: StepSpec['retry']): Retry {
  if (retry === undefined) return { max: 0, on: [], exitCodes: [], backoffMs: 0 }
  const { max, on = [...defaults.retry.on], exit_codes: exitCodes = [], backoff: backoffMs = defaults.retry.backoffMs } = retry
  return { max, on, exitCodes, backoffMs }
}

/** An undo has the step's own environment, shell and directory. */
function undoOf(document: PipelineDocument, spec: StepSpec, undo: NonNullable<StepSpec['undo']>): Undo {
  return {
    commands: commandsOf(undo.commands, spec),
    env: { ...document.env, ...spec.env, ...undo.env },
    timeoutMs: undo.timeout ?? document.rollbackTimeoutMs ?? defaults.undo.timeoutMs,
    attempts: undo.retry === undefined ? defaults.undo.attempts : undo.retry.max + 1,
  }
}

type BuildImageSpec = Extract<StepBody, { kind: 'build_image' }>['buildImage']

const imageTag = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/

function buildImageOf(input: CompileStepInput, spec: BuildImageSpec): { buildImage: BuildImage } | { problems: Problem[] } {
  const tags = (spec.tags ?? []).map((tag) => expandTemplate(tag, input.variables))
  const problems = tags.flatMap((tag, index) => {
    if (imageTag.test(tag)) return []
    const message = `the tag ${quote(tag)} is none: letters, digits, _ . -, at most 128`
    const hint = spec.tags?.[index]?.includes('branch') === true ? 'use ${{ branch_slug }}' : undefined
    return [
      problemAtValue(input.document.places, ['steps', input.source.id, 'build_image', 'tags', index], {
        code: 'invalid_value',
        message,
        hint,
      }),
    ]
  })
  if (problems.length > 0) return { problems }
  const { repository } = spec
  const registry = registryOf(repository, input.rules)
  const { source } = input.rules
  const built = {
    repository,
    ...(registry === undefined ? {} : { registry }),
    tags: [...new Set(tags)],
    // No label of the run: the same files of the same commit give the same image, however often it is built.
    labels: {
      'org.opencontainers.image.revision': input.trigger.sha,
      ...(source === undefined ? {} : { 'org.opencontainers.image.source': source }),
    },
  }
  if (spec.builder === 'pack') {
    const { builder, files, entrypoint, user } = spec
    return { buildImage: { builder, ...built, files, entrypoint, ...(user === undefined ? {} : { user }) } }
  }
  const { builder, context = '.', dockerfile = 'Dockerfile', target, build_args: args = {} } = spec
  const secrets = Object.fromEntries(Object.entries(spec.secrets ?? {}).map(([id, value]) => [id, value.from_secret]))
  // The rules are checked before: a registry is there.
  return {
    buildImage: {
      ...{ builder, ...built, registry: registry ?? '', context, dockerfile, args, secrets },
      ...(target === undefined ? {} : { target }),
    },
  }
}

type Common = Omit<Extract<PlanStep, { kind: 'release' }>, 'kind' | 'release'>
type ReleaseBody = Extract<StepBody, { kind: 'release' }>

/** For people to read, and in no path or command; but one line, and short. */
const longestVersion = 200

function releaseOf(
  input: CompileStepInput,
  { release }: ReleaseBody,
  common: Common,
): { step: PlanStep } | { problems: Problem[] } {
  const from = [...new Set(release.from)]
  if (release.version === undefined) return { step: { ...common, kind: 'release', release: { from } } }
  const version = expandTemplate(release.version, input.variables)
  if (version.trim() === '' || version.length > longestVersion || /\p{Cc}/u.test(version)) {
    const message = `the version ${quote(version)} must be one line of at most ${longestVersion} characters`
    const path = ['steps', input.source.id, 'release', 'version']
    return { problems: [problemAtValue(input.document.places, path, { code: 'invalid_value', message })] }
  }
  return { step: { ...common, kind: 'release', release: { from, version } } }
}

/** How long a deployment watches its release, of all that its timeout covers; of a group, one round after the other. */
export function bakeOf(body: StepBody): number {
  if (body.kind !== 'deploy') return 0
  const { environment, environments, at_once: atOnce, bake } = body.deploy
  return (bake?.for ?? defaults.bakeMs) * paceOf({ environment, environments, atOnce }).rounds
}

/** How long its migrations may take, one round after the other. */
function migrationOf(body: StepBody): number {
  if (body.kind !== 'deploy' || body.deploy.migrate === undefined) return 0
  const { environment, environments, at_once: atOnce, migrate } = body.deploy
  return (migrate.timeout ?? defaults.migrateTimeoutMs) * paceOf({ environment, environments, atOnce }).rounds
}

type DeploySpec = Extract<StepBody, { kind: 'deploy' }>['deploy']

function migrateOf({ up, down, timeout: timeoutMs = defaults.migrateTimeoutMs }: NonNullable<DeploySpec['migrate']>): Migrate {
  return { up, ...(down === undefined ? {} : { down }), timeoutMs }
}

function deployOf(spec: DeploySpec): Deploy {
  const { http, interval, healthy_after: healthyAfter, unhealthy_after: unhealthyAfter, timeout } = spec.health ?? {}
  const health: Deploy['health'] = {
    ...(http === undefined ? {} : { http }),
    ...(interval === undefined ? {} : { intervalMs: interval }),
    ...(healthyAfter === undefined ? {} : { healthyAfter }),
    ...(unhealthyAfter === undefined ? {} : { unhealthyAfter }),
    ...(timeout === undefined ? {} : { timeoutMs: timeout }),
  }
  return {
    ...(spec.environment === undefined ? {} : { environment: spec.environment }),
    ...(spec.environments === undefined ? {} : { environments: spec.environments }),
    ...(spec.at_once === undefined ? {} : { atOnce: spec.at_once }),
    strategy: spec.strategy ?? 'blue_green',
    health,
    bakeMs: spec.bake?.for ?? defaults.bakeMs,
    ...(spec.migrate === undefined ? {} : { migrate: migrateOf(spec.migrate) }),
  }
}
