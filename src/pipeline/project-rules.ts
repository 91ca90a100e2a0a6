import type { EnvValue, HealthCheck } from '../domain/plan.ts'
import type { PipelineSketch, StepBody } from './document.ts'
import { findNearestWord, suggestWord } from './nearest-word.ts'
import type { KeyPath, Places, Problem } from './problem.ts'
import { problemAtValue, quote, sortProblems } from './problem.ts'

export type EnvironmentTarget = 'process' | 'docker'

/** What the operator allows a project. */
export interface ProjectRules {
  project: string
  /** Environments that its pipelines may deploy to. */
  environments: string[]
  /** By environment: the target that reaches it; absent: not known, so nothing is said of it. */
  environmentTargets?: Record<string, EnvironmentTarget>
  /** By environment: the check that a pipeline may only tighten. */
  environmentHealth?: Record<string, HealthCheck>
  /** Names of the secrets that it may use. */
  secrets: string[]
  /** Names of the operator's registries. */
  registries: string[]
  /** URL of the repository, for the labels of images. */
  source?: string
}

/** The registry that an image of this name is pushed to: the first part of the name, if there is such a registry. */
export function registryOf(repository: string, rules: Pick<ProjectRules, 'registries'>): string | undefined {
  const [first = '', ...rest] = repository.split('/')
  return rest.length > 0 && rules.registries.includes(first) ? first : undefined
}

/** Does the project have what the pipeline names? Steps that are not whole are passed over. */
export function checkRules(sketch: PipelineSketch, rules: ProjectRules): Problem[] {
  const { places } = sketch
  const steps = sketch.steps.flatMap((step) => [
    ...checkSecrets({ places, rules, path: ['steps', step.id, 'env'], env: step.spec?.env }),
    ...checkSecrets({ places, rules, path: ['steps', step.id, 'undo', 'env'], env: step.spec?.undo?.env }),
    ...(step.body?.kind === 'deploy'
      ? checkDeploy({ places, rules, path: ['steps', step.id, 'deploy'], deploy: step.body.deploy })
      : []),
    ...(step.body?.kind === 'build_image'
      ? checkBuild({ places, rules, path: ['steps', step.id, 'build_image'], build: step.body.buildImage })
      : []),
  ])
  const last = sketch.finally.flatMap((step) =>
    checkSecrets({ places, rules, path: ['finally', step.id, 'env'], env: step.spec.env }),
  )
  return sortProblems([...steps, ...last])
}

interface Checked {
  places: Places
  rules: ProjectRules
  path: KeyPath
}

function checkSecrets({ places, rules, path, env = {} }: Checked & { env: Record<string, EnvValue> | undefined }): Problem[] {
  return Object.entries(env).flatMap(([name, value]) => {
    if (!('secret' in value) || rules.secrets.includes(value.secret)) return []
    const message = `the project ${quote(rules.project)} has no secret ${quote(value.secret)}`
    const hint = suggestWord(value.secret, rules.secrets) ?? 'the operator adds it to `secrets` of belay.config.yml'
    return [problemAtValue(places, [...path, name, 'from_secret'], { code: 'unknown_secret', message, hint })]
  })
}

type BuildSpec = Extract<StepBody, { kind: 'build_image' }>['buildImage']

/** A Dockerfile's image must go to a registry; one of `pack` may stay on disk. */
function checkBuild({ places, rules, path, build }: Checked & { build: BuildSpec }): Problem[] {
  if (build.builder === 'pack') return []
  const env = Object.fromEntries(
    Object.entries(build.secrets ?? {}).map(([id, { from_secret: secret }]) => [id, { secret }] as const),
  )
  const secrets = checkSecrets({ places, rules, path: [...path, 'secrets'], env })
  if (registryOf(build.repository, rules) !== undefined) return secrets
  const [first = ''] = build.repository.split('/')
  const message = `the first part of ${quote(build.repository)} is none of the operator’s registries`
  const known = rules.registries.map((name) => `${name}/app`).join(', ')
  const nearest = findNearestWord(first, rules.registries)
  const hint =
    nearest !== undefined
      ? `did you mean "${nearest}"?`
      : known === ''
        ? 'the operator adds one to `registries` of belay.config.yml'
        : `say ${known}`
  return [...secrets, problemAtValue(places, [...path, 'repository'], { code: 'unknown_registry', message, hint })]
}

type DeploySpec = Extract<StepBody, { kind: 'deploy' }>['deploy']

/** Where a step deploys to, each with its place below `deploy`. */
export function placesOfEnvironments({ environment, environments = [] }: DeploySpec): { environment: string; at: KeyPath }[] {
  if (environment !== undefined) return [{ environment, at: ['environment'] }]
  return environments.map((name, index) => ({ environment: name, at: ['environments', index] }))
}

function checkDeploy(input: Checked & { deploy: DeploySpec }): Problem[] {
  return placesOfEnvironments(input.deploy).flatMap((one) => checkEnvironment(input, one))
}

function checkEnvironment(
  { places, rules, path, deploy }: Checked & { deploy: DeploySpec },
  { environment, at }: { environment: string; at: KeyPath },
): Problem[] {
  if (!rules.environments.includes(environment)) {
    const message = `the project ${quote(rules.project)} has no environment ${quote(environment)}`
    const hint =
      suggestWord(environment, rules.environments) ?? 'the operator adds it to `environments` of the project in belay.config.yml'
    return [problemAtValue(places, [...path, ...at], { code: 'unknown_environment', message, hint })]
  }
  const own = rules.environmentHealth
  const limit = own !== undefined && Object.hasOwn(own, environment) ? own[environment] : undefined
  if (limit === undefined || deploy.health === undefined) return []
  return findLooser(deploy.health, limit).map(({ key, allowed }) => {
    const message = `"${key}" is looser than what the operator set for ${quote(environment)}`
    return problemAtValue(places, [...path, 'health', key], { code: 'loosens_health', message, hint: `allowed: ${allowed}` })
  })
}

type HealthSpec = NonNullable<DeploySpec['health']>

/** Another path may answer whatever it likes, so it is the operator's to choose. */
function findLooser(health: HealthSpec, limit: HealthCheck): { key: keyof HealthSpec; allowed: string }[] {
  const { http, interval, healthy_after: healthyAfter, unhealthy_after: unhealthyAfter, timeout } = health
  const looser: { key: keyof HealthSpec; allowed: string; is: boolean }[] = [
    { key: 'http', allowed: limit.http, is: http !== undefined && http !== limit.http },
    { key: 'interval', allowed: `at most ${limit.intervalMs}ms`, is: interval !== undefined && interval > limit.intervalMs },
    {
      key: 'healthy_after',
      allowed: `${limit.healthyAfter} or more`,
      is: healthyAfter !== undefined && healthyAfter < limit.healthyAfter,
    },
    {
      key: 'unhealthy_after',
      allowed: `at most ${limit.unhealthyAfter}`,
      is: unhealthyAfter !== undefined && unhealthyAfter > limit.unhealthyAfter,
    },
    { key: 'timeout', allowed: `at most ${limit.timeoutMs}ms`, is: timeout !== undefined && timeout > limit.timeoutMs },
  ]
  return looser.filter(({ is }) => is)
}
