import type { Client, RunRef } from '../api/client.ts'

/** The sequence number of the newest event of a run: what was told up to now is old. */
export async function lastEventOf(client: Client, ref: RunRef): Promise<number> {
  const limit = 1000
  let after = 0
  for (;;) {
    const { items, next } = await client.listRunEvents(ref, { after, limit })
    after = next
    if (items.length < limit) return after
  }
}
