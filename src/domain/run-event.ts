import { z } from 'zod'
import { DeploymentPhase } from './environment.ts'
import { RunEnd, RunStatus } from './run.ts'
import { StepResult, StepStatus } from './step.ts'

/** A change of one attempt of a step, as news and as a row. */
export const StepChange = z.object({
  step: z.string(),
  attempt: z.number().int().positive(),
  epoch: z.number().int().nonnegative(),
  status: StepStatus,
  startedAt: z.number().optional(),
  endedAt: z.number().optional(),
  exitCode: z.number().int().optional(),
  signal: z.string().optional(),
  reason: z.string().optional(),
  tail: z.string().optional(),
  result: StepResult.optional(),
})
export type StepChange = z.infer<typeof StepChange>

/** One entry of a run's undo stack, as people see it. */
export const UndoItem = z.object({
  step: z.string(),
  /** Of a group: the one that it takes back. */
  environment: z.string().optional(),
  does: z.string(),
  /** `failed` waits for a person, who has it tried again or gives it up: `skipped`. */
  status: z.enum(['owed', 'running', 'done', 'failed', 'skipped', 'discharged']),
  reason: z.string().optional(),
})
export type UndoItem = z.infer<typeof UndoItem>

/** What is told about a run while it goes on. */
export const RunEventBody = z.discriminatedUnion('type', [
  z.object({ type: z.literal('run'), status: RunStatus, reason: z.string().optional() }),
  z.object({ type: z.literal('planned'), pipeline: z.string(), planDigest: z.string(), steps: z.array(z.string()) }),
  z.object({
    type: z.literal('workspace'),
    runner: z.string(),
    epoch: z.number().int(),
    status: z.enum(['opened', 'lost', 'closed']),
  }),
  z.object({ type: z.literal('step'), change: StepChange }),
  z.object({ type: z.literal('undo'), item: UndoItem }),
  z.object({
    type: z.literal('deployment'),
    environment: z.string(),
    deploymentId: z.string(),
    phase: DeploymentPhase,
    status: z.enum(['started', 'done', 'failed']),
    release: z.number().int(),
    digest: z.string(),
    /** For `activate` and `undo`: what traffic was on before. */
    previousDigest: z.string().optional(),
    reason: z.string().optional(),
  }),
  z.object({ type: z.literal('waiting'), for: z.string() }),
])
export type RunEventBody = z.infer<typeof RunEventBody>

/** An event as its writer names it: (source, epoch, n) is unique within the run, and writing it twice is writing it once. */
export const RunEvent = z.object({
  /** `run`, `environment/<name>`, `runner/<name>`, or `store` for an end that its writer did not tell. */
  source: z.string(),
  epoch: z.number().int().nonnegative(),
  n: z.number().int().nonnegative(),
  at: z.number(),
  body: RunEventBody,
})
export type RunEvent = z.infer<typeof RunEvent>

/** An event as readers see it: by the run's own sequence, without gap. */
export const StoredRunEvent = RunEvent.extend({ seq: z.number().int().positive() })
export type StoredRunEvent = z.infer<typeof StoredRunEvent>

/** The last write of a run. */
export const RunEnding = z.object({
  status: z.union([RunEnd, z.literal('rollback_blocked')]),
  reason: z.string().optional(),
  at: z.number(),
  /** Of the run, counted from 0: each time it goes on after an end is one. */
  round: z.number().int().nonnegative().optional(),
})
export type RunEnding = z.infer<typeof RunEnding>
