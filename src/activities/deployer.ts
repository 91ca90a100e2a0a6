import { Context } from '@temporalio/activity'
import { CancelledFailure } from '@temporalio/common'
import type { DeployerActivities, DeployOperation, HealthReport, RestoreOperation } from '../contract/activities.ts'
import { BelayError, messageOf } from '../domain/errors.ts'
import type { EnvValue, HealthCheck } from '../domain/plan.ts'
import type { Target } from '../drivers/targets/target.ts'
import { guarded } from './guarded.ts'
import { tighten } from './health-rules.ts'
import { restore } from './restore.ts'
import { bake, waitUntilHealthy, type WatchInput } from './watch-instance.ts'

export interface DeployerDeps {
  /** Throws `not_found` for an environment that is not configured. */
  targetOf(environment: string): Target
  healthOf(environment: string): HealthCheck
  /** Its variables as they are configured: secrets by name. */
  envOf(environment: string): Readonly<Record<string, EnvValue>>
  /** Takes the environment's secret values out of what an application printed, before it enters the history. */
  mask(environment: string, text: string): Promise<string>
}

const heartbeatMs = 1_000

/** Puts releases into environments: each call is one fenced operation of a target, or a watch that changes nothing. */
export function createDeployerActivities(deps: DeployerDeps): DeployerActivities {
  const { targetOf } = deps

  async function watch(input: DeployOperation, how: (watching: WatchInput) => Promise<HealthReport>): Promise<HealthReport> {
    const { environment, release, deploy } = input
    const target = targetOf(environment)
    const health = tighten(deps.healthOf(environment), deploy.health)
    const report = await alive((signal) => how({ target, environment, digest: release.image.digest, health, signal }))
    return report.reason === undefined ? report : { ...report, reason: await showable(environment, report.reason) }
  }

  /** Masked whole and shortened afterwards: half a secret would not be found. What cannot be masked is not shown. */
  async function showable(environment: string, reason: string): Promise<string> {
    try {
      return shorten(await deps.mask(environment, reason))
    } catch (error) {
      return `why is not shown, as it could not be masked: ${messageOf(error)}`
    }
  }

  const activities: Omit<DeployerActivities, 'restore'> = {
    observe: ({ environment }) => alive(() => targetOf(environment).observe(environment)),
    async stage({ release, deploy, ...operation }) {
      const alone = deploy.strategy === 'recreate'
      const { environment } = operation
      const target = targetOf(environment)
      return alive(async () => {
        const before = await target.listInstances(environment, release.image.digest)
        await target.stage(operation, release, { alone })
        return before.length > 0 ? {} : { given: { ...deps.envOf(environment) } }
      })
    },
    async migrate({ release, command, timeoutMs, ...operation }) {
      const { environment } = operation
      const target = targetOf(environment)
      const end = await alive(async () => target.runCommand?.(operation, release, { command, timeoutMs }))
      if (end === undefined) {
        const message = `${environment} has the target ${target.kind}, which runs no migrations yet`
        throw new BelayError({ code: 'not_yet', message, hint: 'Take `migrate` out, or choose another target.' })
      }
      const { failure, tail } = end
      if (failure === undefined) return { done: true }
      const printed = tail.trim() === '' ? '' : `; it printed last:\n${tail.trim()}`
      return { done: false, reason: await showable(environment, `${command[0] ?? ''} ${failure}${printed}`) }
    },
    check: (input) => watch(input, waitUntilHealthy),
    activate: ({ release, ...operation }) =>
      alive(() => targetOf(operation.environment).activate(operation, release.image.digest)),
    verify: (input) => watch(input, (watching) => bake({ ...watching, bakeMs: input.deploy.bakeMs })),
    retire: (operation) => alive(() => targetOf(operation.environment).retire(operation)),
    clear: (operation) => alive(() => targetOf(operation.environment).clear(operation)),
  }
  const single = guarded(activities, pointOf)
  return { ...single, ...guarded({ restore: (input: RestoreOperation) => restore(single, input) }) }
}

/** The way back has points of its own: `<deployment>/undo-activate/1`, `<deployment>/migrate-down-<migration>/1`. */
function pointOf(name: string, input: unknown): string {
  const { operationId = '' } = input as Partial<DeployOperation>
  return /[/](undo-[a-z]+|migrate-down)(?:-.*)?[/]\d+$/.exec(operationId)?.[1] ?? name
}

/**
 * Heartbeats while the work lasts, and leaves it at once when cancelled: a target's operations may be cut anywhere, as a
 * repeat is answered from its record and a newer one replaces them.
 */
async function alive<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const context = Context.current()
  const beat = setInterval(() => {
    context.heartbeat()
  }, heartbeatMs)
  const working = work(context.cancellationSignal)
  // Left behind by a cancellation, its end is nobody's business any more.
  working.catch(() => undefined)
  try {
    return await Promise.race([working, context.cancelled])
  } catch (error) {
    throw isShutdown(error) ? shuttingDown(error) : error
  } finally {
    clearInterval(beat)
  }
}

function shorten(text: string): string {
  return text.length <= 2_200 ? text : `${text.slice(0, 200)} … ${text.slice(-2_000)}`
}

/** Only this worker ends: another one takes the work up, which a cancellation would prevent. */
function isShutdown(error: unknown): boolean {
  return error instanceof CancelledFailure && Context.current().cancellationDetails?.workerShutdown === true
}

function shuttingDown(cause: unknown): BelayError {
  return new BelayError({ code: 'unavailable', message: 'the deployer is stopping', retryable: true, cause })
}
