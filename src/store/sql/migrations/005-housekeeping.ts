import type { Migration } from '../migrate.ts'

/** What a clean-up notes, and the indexes without which each row it removes would cost a look at a whole table. */
export const housekeeping: Migration = {
  number: 5,
  name: 'housekeeping',
  statements: [
    `create table leases (name text primary key, owner text not null, lease_until bigint not null)`,
    `alter table releases add column removed_at bigint`,
    `alter table releases add column let_go_at bigint`,
    `create index runs_ended on runs (ended_at) where ended_at is not null`,
    `create index runs_by_delivery on runs (delivery_row_id) where delivery_row_id is not null`,
    `create index runs_by_plan on runs (plan_digest) where plan_digest is not null`,
    `create index segment_tokens_by_run on segment_tokens (run_id)`,
    `create index deliveries_received on deliveries (received_at)`,
    `create index deployments_ended on deployments (ended_at) where ended_at is not null`,
  ],
}
