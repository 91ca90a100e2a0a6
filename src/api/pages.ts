import { z } from 'zod'

export const pageLimits = { standard: 50, most: 200 } as const

/** Query of every list: an opaque cursor and a limit. */
export const PageQuery = z.object({
  cursor: z.string().max(500).optional(),
  limit: z.coerce.number().int().min(1).max(pageLimits.most).optional(),
})
export type PageQuery = z.infer<typeof PageQuery>

/** One page of a list; without `nextCursor` it is the last. */
export function pageOf<Item extends z.ZodType>(item: Item) {
  return z.object({ items: z.array(item), nextCursor: z.string().optional() })
}
