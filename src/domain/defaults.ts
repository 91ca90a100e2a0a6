/**
 * What holds where the operator says nothing; `docs/configuration.md` and `docs/operations.md` repeat it, and a test compares
 * them. What holds where a pipeline says nothing (the times of steps, runs and undos) is `src/pipeline/defaults.ts`.
 */
const dayMs = 24 * 60 * 60_000

export const defaults = {
  /** Counted from the end of the run that it belongs to; a delivery's from its arrival. The audit is kept for ever. */
  keep: { logsMs: 90 * dayMs, runsMs: 365 * dayMs, artifactsMs: 30 * dayMs, deliveriesMs: 90 * dayMs },
  /** What one log holds; the rest is dropped, and the log says so. */
  logBytes: 100 * 1024 * 1024,
  /** Rows that only carried something to Temporal or a forge, once it has arrived. */
  deliveredRowsMs: 7 * dayMs,
  /** Copies of repositories on a runner that no run has asked for. */
  mirrorsMs: 30 * dayMs,
  /** Below either, no new run begins; it does again above both of the second. */
  disk: { low: { bytes: 1024 ** 3, share: 0.05 }, enough: { bytes: 1.25 * 1024 ** 3, share: 0.06 } },
  /** What a phase of a deployment may take beside its bake, and the pull of an image in it, which is to say so itself. */
  deployment: { phaseMs: 15 * 60_000, pullMs: 10 * 60_000 },
  cleanUp: { firstAfterMs: 10 * 60_000, everyMs: 60 * 60_000 },
} as const
