/** Where a canary may lie, and why. Nowhere else. */
import { join } from 'node:path'
import type { World } from '../../evidence.ts'

export interface Exception {
  reason: string
  /** Of files below it. */
  directory: string
}

export function exceptionsOf({ places }: World): Exception[] {
  return [
    {
      reason:
        'an application was given the secret, and the keeper starts it again with it (0600); I5 sees that only what serves has such a file',
      directory: join(places.keeper, 'env'),
    },
  ]
}
