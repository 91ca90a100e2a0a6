import { z } from 'zod'
import { errorCodes, type ErrorCode } from '../domain/errors.ts'

const codes = Object.keys(errorCodes) as [ErrorCode, ...ErrorCode[]]

/** An RFC 9457 problem document, `application/problem+json`: what every refusal of the API looks like. */
export const Problem = z.object({
  type: z.literal('about:blank'),
  /** The HTTP status in words. */
  title: z.string(),
  status: z.number().int(),
  /** What went wrong, one sentence. */
  detail: z.string(),
  code: z.enum(codes),
  /** What the reader can do about it. */
  hint: z.string().optional(),
})
export type Problem = z.infer<typeof Problem>

export const problemType = 'application/problem+json'
