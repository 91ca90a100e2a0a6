import type { HealthCheck } from '../domain/plan.ts'

/** What a deploy says on top of the environment's check: it may ask elsewhere, and otherwise only be stricter. */
export function tighten(base: HealthCheck, more: { [Key in keyof HealthCheck]?: HealthCheck[Key] | undefined }): HealthCheck {
  return {
    http: more.http ?? base.http,
    intervalMs: Math.min(base.intervalMs, more.intervalMs ?? Infinity),
    timeoutMs: Math.min(base.timeoutMs, more.timeoutMs ?? Infinity),
    unhealthyAfter: Math.min(base.unhealthyAfter, more.unhealthyAfter ?? Infinity),
    healthyAfter: Math.max(base.healthyAfter, more.healthyAfter ?? 0),
  }
}
