import type { Migration } from '../migrate.ts'

/** Who holds a run's workspace under which epoch; whose token speaks for a runner, and since when it is there or away. */
export const runners: Migration = {
  number: 4,
  name: 'runners',
  statements: [
    `create table holders (
      run_id text not null, epoch integer not null, runner text not null, noted_at bigint not null,
      primary key (run_id, epoch)
    )`,
    `alter table runners add column token text`,
    `alter table runners add column active integer not null default 0`,
    `alter table runners add column since bigint not null default 0`,
  ],
}
