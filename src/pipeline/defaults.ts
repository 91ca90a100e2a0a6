import type { HealthCheck } from '../domain/plan.ts'

/** What holds where a pipeline says nothing. The one table; `docs/pipeline.md` repeats it, and a test compares them. */
export const defaults = {
  stepTimeoutMs: 30 * 60_000,
  runTimeoutMs: 6 * 60 * 60_000,
  undo: { timeoutMs: 5 * 60_000, attempts: 5 },
  /** Between SIGTERM and SIGKILL. */
  graceMs: 10_000,
  /** Of a step that says `retry` at all. */
  retry: { on: ['failed', 'errored', 'timed_out'], backoffMs: 1_000 },
  /** The environment's check, where the operator says nothing. */
  health: { http: '/healthz', intervalMs: 2_000, healthyAfter: 1, unhealthyAfter: 3, timeoutMs: 60_000 } satisfies HealthCheck,
  bakeMs: 0,
  /** Of each run of a migration's command. */
  migrateTimeoutMs: 5 * 60_000,
} as const
