import type { FastifyInstance } from 'fastify'
import type { Config, RegistryConfig, SecretConfig } from '../../../config/config.ts'
import type { SecretsRequest } from '../../../contract/runner-api.ts'
import { BelayError } from '../../../domain/errors.ts'
import type { EnvValue, Plan } from '../../../domain/plan.ts'
import { isEndedRun } from '../../../domain/run.ts'
import { isEndedStep } from '../../../domain/step.ts'
import { findSecretProvider } from '../../../drivers/secrets/index.ts'
import { faultPoint } from '../../../process/fault-point.ts'
import type { Run, SegmentGrant, Store } from '../../../store/store.ts'
import type { RouteDeps } from '../../app.ts'
import { refuse } from '../../problems.ts'
import { mount } from '../mount.ts'
import { loadGrant, requireStep } from './grants.ts'
import { runnerRoutes } from './routes.ts'

/**
 * The values that the Plan binds to a step, for the attempt that starts now. What the runner says decides nothing: the
 * run's row, the Plan that control compiled and the operator's configuration do.
 */
export function mountSecrets(app: FastifyInstance, { config, store }: RouteDeps): void {
  mount(app, runnerRoutes.secrets, async ({ body, caller }) => {
    const { grant, run } = await loadGrant(store, caller)
    requireStep(grant, body.step)
    await checkStarting(store, run, { ...body, epoch: grant.epoch })
    const plan = await store.runs.findPlan(grant.planDigest)
    const bound = secretsIn(plan === undefined ? {} : envOf(plan, body))
    const secrets = bound.map(({ variable, secret }) => ({ variable, secret: loadAllowed(config, run, secret) }))
    await markStarted(store, grant, body)
    for (const { variable, secret } of secrets) {
      const data = { run: run.id, step: body.step, part: body.part, attempt: body.attempt, variable }
      await store.audit.write({ actor: `runner/${grant.runner}`, action: 'secret.read', subject: secret.name, data })
    }
    const registry = plan === undefined ? undefined : registryFor(config, plan, body)
    if (registry !== undefined) {
      const data = { run: run.id, step: body.step, attempt: body.attempt }
      await store.audit.write({ actor: `runner/${grant.runner}`, action: 'registry.read', subject: registry.name, data })
    }
    const values = await Promise.all(secrets.map(async ({ variable, secret }) => [variable, await resolve(secret)] as const))
    faultPoint('secrets.audited')
    return { env: Object.fromEntries(values), ...(registry === undefined ? {} : { registry }) }
  })
}

/** Only for a step that starts there now: not for a run that is over, not for an attempt that has ended. */
async function checkStarting(store: Store, run: Run, asked: SecretsRequest & { epoch: number }): Promise<void> {
  if (isEndedRun(run.status)) throw new BelayError({ code: 'conflict', message: 'the run has ended' })
  if (asked.part === 'undo') return
  const rows = (await store.runs.steps(run.id)).filter((row) => row.step === asked.step)
  const isPast = rows.some(
    (row) =>
      row.attempt > asked.attempt || (row.attempt === asked.attempt && row.epoch >= asked.epoch && isEndedStep(row.status)),
  )
  if (isPast) throw new BelayError({ code: 'conflict', message: 'this attempt of the step has ended' })
}

/** An undo runs with its step's own variables under its own. */
function envOf(plan: Plan, { step: id, part }: SecretsRequest): Readonly<Record<string, EnvValue>> {
  if (part === 'finally') return plan.finally.find((step) => step.id === id)?.env ?? {}
  const step = plan.steps.find((candidate) => candidate.id === id)
  if (step?.kind === 'build_image') return 'secrets' in step.buildImage ? mapToSecrets(step.buildImage.secrets) : {}
  return part === 'undo' ? { ...step?.env, ...step?.undo?.env } : (step?.env ?? {})
}

function mapToSecrets(secrets: Readonly<Record<string, string>>): Record<string, EnvValue> {
  return Object.fromEntries(Object.entries(secrets).map(([id, secret]) => [id, { secret }]))
}

/** Where the Plan says that the step's image goes; nothing that the runner says can make it another one. */
function registryFor(config: Config, plan: Plan, { step: id, part }: SecretsRequest): RegistryConfig | undefined {
  const step = plan.steps.find((candidate) => candidate.id === id)
  if (part !== 'step' || step?.kind !== 'build_image' || step.buildImage.registry === undefined) return undefined
  const name = step.buildImage.registry
  const registry = Object.hasOwn(config.registries, name) ? config.registries[name] : undefined
  if (registry !== undefined) return registry
  throw new BelayError({
    code: 'refused',
    message: `the registry "${name}" is no longer configured`,
    hint: 'The operator adds it to `registries` in belay.config.yml.',
  })
}

function secretsIn(env: Readonly<Record<string, EnvValue>>): { variable: string; secret: string }[] {
  return Object.entries(env).flatMap(([variable, value]) => ('secret' in value ? [{ variable, secret: value.secret }] : []))
}

function loadAllowed(config: Config, run: Run, name: string): SecretConfig {
  const secret = Object.hasOwn(config.secrets, name) ? config.secrets[name] : undefined
  const branches = secret?.branches ?? []
  const allowed =
    secret?.projects.includes(run.project) === true && (branches.length === 0 || branches.includes(run.trigger.branch))
  if (secret !== undefined && allowed) return secret
  throw new BelayError({
    code: 'forbidden',
    message: `the secret "${name}" is not for ${run.project} on ${JSON.stringify(run.trigger.branch)}`,
    hint: `The operator lists who may use it under secrets.${name}.`,
  })
}

async function markStarted(store: Store, { runId, epoch }: SegmentGrant, { step, attempt, part }: SecretsRequest): Promise<void> {
  if (part === 'undo') return
  const at = Date.now()
  const change = { step, attempt, epoch, status: 'running' as const, startedAt: at }
  await store.runs.record(runId, [{ source: `server/${part}/${step}`, epoch, n: attempt, at, body: { type: 'step', change } }])
}

async function resolve(secret: SecretConfig): Promise<string> {
  const provider = findSecretProvider(secret.provider)
  if (provider === undefined) throw new BelayError({ code: 'internal', message: `no provider ${secret.provider}` })
  try {
    return await provider.resolve(secret.reference)
  } catch (error) {
    // The contract's 424: what the step depends on is not there.
    if (error instanceof BelayError && error.code === 'refused') throw refuse(error, { status: 424 })
    throw error
  }
}
