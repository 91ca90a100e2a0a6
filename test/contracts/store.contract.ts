/** What every store must do, whatever engine it has: the port's docstrings, as tests. */
import { describe } from 'vitest'
import { blobContract } from './store/blobs.ts'
import { commandContract } from './store/commands.ts'
import { deliveryContract } from './store/deliveries.ts'
import { environmentContract } from './store/environments.ts'
import { eventContract } from './store/events.ts'
import { housekeepingContract } from './store/housekeeping.ts'
import { logContract } from './store/logs.ts'
import { outboxContract } from './store/outbox.ts'
import { restContract } from './store/rest.ts'
import { runContract } from './store/runs.ts'
import { createOpener } from './store/samples.ts'
import type { OpenStoreUnderTest } from './store/samples.ts'
import { tokenContract } from './store/tokens.ts'

/** Runs the contract against stores that `open` makes; each is empty, and is cleaned up after its test. */
export function storeContract(name: string, open: OpenStoreUnderTest): void {
  describe(name, () => {
    const opener = createOpener(open)
    for (const contract of [
      deliveryContract,
      commandContract,
      runContract,
      eventContract,
      logContract,
      blobContract,
      environmentContract,
      outboxContract,
      tokenContract,
      restContract,
      housekeepingContract,
    ]) {
      contract(opener)
    }
  })
}
