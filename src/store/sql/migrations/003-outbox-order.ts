import type { Migration } from '../migrate.ts'

/** What the outbox has tried least goes first. */
export const outboxOrder: Migration = {
  number: 3,
  name: 'outbox order',
  statements: [`drop index outbox_undone`, `create index outbox_undone on outbox (attempts, due_at, id) where done_at is null`],
}
