import type { Migration } from '../migrate.ts'
import { firstPath } from './001-first-path.ts'
import { outbox } from './002-outbox.ts'
import { outboxOrder } from './003-outbox-order.ts'
import { runners } from './004-runners.ts'
import { housekeeping } from './005-housekeeping.ts'
import { resumedRuns } from './006-resumed-runs.ts'

/** All of them, in order. */
export const migrations = [firstPath, outbox, outboxOrder, runners, housekeeping, resumedRuns] satisfies readonly Migration[]
