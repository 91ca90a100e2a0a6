import { z } from 'zod'
import { StoredRunEvent, StepChange, UndoItem } from '../domain/run-event.ts'
import { RunIdentity, RunStatus } from '../domain/run.ts'
import { SettledUndo, UndoAction } from '../domain/settle-undo.ts'
import { Sha } from '../domain/trigger.ts'
import { PageQuery, pageOf } from './pages.ts'

/** A run as lists show it. Times are ms since 1970. */
export const RunView = RunIdentity.extend({
  status: RunStatus,
  pipelineName: z.string().optional(),
  planDigest: z.string().optional(),
  reason: z.string().optional(),
  createdAt: z.number(),
  startedAt: z.number().optional(),
  endedAt: z.number().optional(),
  /** The undo stack, in the order in which it was owed. */
  undo: z.array(UndoItem),
  /** How often it was gone on with after its end. */
  round: z.number().int().nonnegative(),
  url: z.string(),
})
export type RunView = z.infer<typeof RunView>

/** As much of the Plan as a reader of the run needs. */
export const PlanOutline = z.object({
  pipeline: z.string(),
  file: z.string(),
  steps: z.array(
    z.object({
      id: z.string(),
      kind: z.enum(['commands', 'build_image', 'release', 'deploy']),
      stage: z.string().optional(),
      needs: z.array(z.string()),
      skip: z.string().optional(),
    }),
  ),
  finally: z.array(z.string()),
})
export type PlanOutline = z.infer<typeof PlanOutline>

/** One run: the newest state of every attempt of its steps, and its plan once it has one. */
export const RunDetail = RunView.extend({
  steps: z.array(StepChange),
  plan: PlanOutline.optional(),
  /** Deployments of it that wait in the queue of their environment: for what, if not for their turn. */
  waits: z.array(z.object({ step: z.string(), environment: z.string(), for: z.string().optional() })),
  /** What it said last that it waits for, a runner say, and nothing has happened in it since. */
  waiting: z.object({ for: z.string(), since: z.number() }).optional(),
})
export type RunDetail = z.infer<typeof RunDetail>

/** A run's id, or its number within `?project=`. */
export const RunParams = z.object({ id: z.union([z.uuid(), z.string().regex(/^[1-9]\d{0,8}$/)]) })
export const RunQuery = z.object({ project: z.string().max(200).optional() })

export const RunListQuery = PageQuery.extend({
  project: z.string().max(200).optional(),
  branch: z.string().max(1000).optional(),
  status: RunStatus.optional(),
})
export type RunListQuery = z.infer<typeof RunListQuery>
export const RunPage = pageOf(RunView)

/** A person starts a run. Without `branch` and `ref` it is the repository's default branch; without `sha` its head. */
export const StartRun = z
  .strictObject({
    project: z.string().min(1).max(200),
    branch: z.string().min(1).max(900).optional(),
    /** A full ref; only `refs/heads/…` yet. */
    ref: z.string().min(1).max(1000).optional(),
    sha: Sha.optional(),
    /** Name of the pipeline; absent: the first that matches. */
    pipeline: z.string().min(1).max(200).optional(),
  })
  .refine((body) => body.branch === undefined || body.ref === undefined, { message: 'give branch or ref, not both' })
export type StartRun = z.infer<typeof StartRun>

export const CancelRun = z.strictObject({ reason: z.string().max(500).optional() })
export type CancelRun = z.infer<typeof CancelRun>

/** A person goes on with a run that has ended; with `from` that step is done again in any case, and all that follow from it. */
export const RetryRun = z.strictObject({
  from: z.string().min(1).max(200).optional(),
  reason: z.string().trim().min(1).max(500).optional(),
})
export type RetryRun = z.infer<typeof RetryRun>

/** A person settles the undo that a run is blocked at; with `step` only if it is that step's. */
export const SettleRunUndo = z
  .strictObject({
    action: UndoAction,
    step: z.string().min(1).max(200).optional(),
    reason: z.string().trim().min(1).max(500).optional(),
  })
  .refine(({ action, reason }) => action === 'retry' || reason !== undefined, {
    path: ['reason'],
    message: 'whoever skips an undo has to say why',
  })
export type SettleRunUndo = z.infer<typeof SettleRunUndo>

/** The run, and what will happen to its undo. */
export const UndoAccepted = RunView.extend({ settled: SettledUndo })
export type UndoAccepted = z.infer<typeof UndoAccepted>

export const EventsQuery = RunQuery.extend({
  /** Events with a higher sequence number than this. */
  after: z.coerce.number().int().nonnegative().optional(),
  limit: z.coerce.number().int().min(1).max(1000).optional(),
})
export const EventPage = z.object({
  items: z.array(StoredRunEvent),
  /** `after` for the next page. */
  next: z.number().int(),
  /** The run has ended and these are its last events. */
  end: z.boolean(),
})
export type EventPage = z.infer<typeof EventPage>

/** Data of the `end` event that closes a run's event stream. */
export const RunStreamEnd = z.object({ status: RunStatus })
