import { z } from 'zod'
import { Swept } from '../domain/keep.ts'

export const GcReport = z.object({
  items: z.array(Swept.extend({ why: z.string() })),
  /** There is more, and the next call goes on with it. */
  more: z.boolean(),
})
export type GcReport = z.infer<typeof GcReport>
