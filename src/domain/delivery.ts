import { z } from 'zod'

/** What was answered to a delivery; a duplicate gets the same again. */
export const DeliveryAnswer = z.union([
  z.object({ delivery: z.string(), run: z.object({ id: z.string(), number: z.number().int(), url: z.string() }) }),
  z.object({ ignored: z.string() }),
])
export type DeliveryAnswer = z.infer<typeof DeliveryAnswer>

/** One webhook receipt. */
export interface Delivery {
  id: string
  /** Place in the store's sequence of accepted triggers. */
  sequence: number
  project: string
  forge: string
  deliveryId: string
  event: string
  bodyDigest: string
  receivedAt: number
  answer: DeliveryAnswer
}
