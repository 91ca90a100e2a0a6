import type { Migration } from '../migrate.ts'

/** What the outbox needs to replace a payload while an older one is on its way, and where a first token was made. */
export const outbox: Migration = {
  number: 2,
  name: 'outbox',
  statements: [
    `alter table outbox add column version bigint not null default 1`,
    `alter table outbox add column leased_version bigint`,
    `alter table outbox add column run_number bigint not null default 0`,
    `alter table outbox add column given_up bigint not null default 0`,
    `create index outbox_undone on outbox (due_at, id) where done_at is null`,

    `alter table tokens add column origin text`,
    // The first admin's token of a Belay that did not yet say where it made it.
    `update tokens set origin = '' where name = 'admin' and role = 'admin' and revoked_at is null`,
  ],
}
