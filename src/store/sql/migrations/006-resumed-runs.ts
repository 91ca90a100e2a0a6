import type { Migration } from '../migrate.ts'

/** An ended run may go on in its own record: each time is a round, and commands belong to one. */
export const resumedRuns: Migration = {
  number: 6,
  name: 'resumed runs',
  statements: [
    `alter table runs add column round bigint not null default 0`,
    `alter table commands add column round bigint not null default 0`,
    `alter table commands add column from_step text`,
    `alter table commands add column request_key text`,
    `create unique index commands_by_key on commands (run_id, request_key)`,
    `alter table outbox add column run_round bigint not null default 0`,
  ],
}
