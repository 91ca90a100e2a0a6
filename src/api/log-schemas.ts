import { z } from 'zod'
import { RunParams, RunQuery } from './run-schemas.ts'

export const StepParams = RunParams.extend({ step: z.string().min(1).max(200) })

/**
 * Which log of a step: all of its attempts in order, or those of one attempt or epoch. `part` is `step` unless said
 * (the output of a `finally` step counts as `step`); `offset` and `limit` are bytes and need exactly one log.
 */
export const LogQuery = RunQuery.extend({
  part: z.enum(['step', 'undo']).optional(),
  attempt: z.coerce.number().int().positive().optional(),
  epoch: z.coerce.number().int().nonnegative().optional(),
  offset: z.coerce.number().int().nonnegative().optional(),
  limit: z.coerce.number().int().positive().optional(),
})
export type LogQuery = z.infer<typeof LogQuery>

/** Data of one event of a log stream. Its id is `<attempt>.<epoch>.<offset after it>`. */
export const LogChunk = z.object({
  attempt: z.number().int(),
  epoch: z.number().int(),
  /** Where in that log the text begins, in bytes. */
  offset: z.number().int(),
  /** The bytes as UTF-8; a character is never cut in two, a line may be. */
  text: z.string(),
})
export type LogChunk = z.infer<typeof LogChunk>

/** Data of the `end` event that closes a log stream; `truncated`: the log was full and the rest is lost. */
export const LogStreamEnd = z.object({ truncated: z.boolean() })
