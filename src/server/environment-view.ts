/** Environments as the API shows them: what is configured, and what was recorded last. */
import type { EnvironmentDetail } from '../api/environment-schemas.ts'
import type { Config, EnvironmentConfig } from '../config/config.ts'
import type { EnvironmentState } from '../domain/environment.ts'
import { BelayError } from '../domain/errors.ts'
import { findFreeze, nextSpan } from '../domain/freeze-times.ts'
import type { Freeze, Held } from '../domain/freeze.ts'

export function loadEnvironment(config: Config, name: string): EnvironmentConfig {
  const environment = Object.hasOwn(config.environments, name) ? config.environments[name] : undefined
  if (environment !== undefined) return environment
  throw new BelayError({
    code: 'not_found',
    message: `there is no environment ${JSON.stringify(name)}`,
    hint: `Known: ${Object.keys(config.environments).join(', ') || 'none'}.`,
  })
}

export function detailOf(environment: EnvironmentConfig, state: EnvironmentState | undefined): EnvironmentDetail {
  const { host, port } = environment.edge
  const { current, active, fence = 0, history = [], queue = [], rollbacks = [], freezes = [], blocked = [] } = state ?? {}
  const now = Date.now()
  return {
    name: environment.name,
    target: environment.target,
    url: `http://${host.includes(':') ? `[${host}]` : host}:${String(port)}`,
    ...(current === undefined ? {} : { current }),
    ...(active === undefined ? {} : { active }),
    queued: queue.length + rollbacks.length,
    ...frozenAt(freezes, now),
    fence,
    history,
    queue,
    rollbacks,
    freezes: freezes.map((freeze) => ({ ...freeze, ...spanAt(freeze, now) })),
    blocked,
  }
}

/** Is it frozen at that time, and until when? */
export function frozenAt(freezes: readonly Freeze[], at: number): { frozen?: Held } {
  const found = findFreeze(freezes, at)
  return found === undefined ? {} : { frozen: { until: found.until, reason: found.reason } }
}

function spanAt({ times }: Freeze, at: number): { next?: { from: number; until: number } } {
  const span = nextSpan(times, at)
  return span === undefined ? {} : { next: { from: span.from, until: span.until } }
}
