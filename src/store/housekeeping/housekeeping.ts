import { sweepKinds, type SweepKind, type Swept } from '../../domain/keep.ts'
import type { HousekeepingStore } from '../store.ts'
import type { Tx } from '../sql/database.ts'
import { lock } from '../sql/lock.ts'
import type { SweepContext } from './context.ts'
import { sweepArtifacts, sweepBlobs } from './sweep-artifacts.ts'
import { sweepImages } from './sweep-images.ts'
import { sweepLogFiles, sweepLogs } from './sweep-logs.ts'
import { sweepReleases } from './sweep-releases.ts'
import { sweepCommands, sweepDeliveries, sweepOutbox, sweepPlans, sweepSegmentTokens } from './sweep-rows.ts'
import { sweepDeployments, sweepRuns } from './sweep-runs.ts'

/** Each tells of every batch that it has looked at, also that nothing of it went. In the order of `sweepKinds`: what names something goes before what it names, and a run after all that is its own. */
const sweeps: Readonly<Record<SweepKind, (context: SweepContext) => AsyncGenerator<Swept>>> = {
  logs: sweepLogs,
  log_files: sweepLogFiles,
  releases: sweepReleases,
  artifacts: sweepArtifacts,
  blobs: sweepBlobs,
  images: sweepImages,
  commands: sweepCommands,
  segment_tokens: sweepSegmentTokens,
  deployments: sweepDeployments,
  runs: sweepRuns,
  deliveries: sweepDeliveries,
  plans: sweepPlans,
  outbox: sweepOutbox,
}

const name = 'housekeeping'

export function createHousekeeping(parts: Pick<SweepContext, 'database' | 'logs' | 'blobs'>): HousekeepingStore {
  const { database } = parts
  return {
    lease: (input) => database.write((tx) => lease(tx, { ...input, now: database.now() })),
    async release(owner) {
      await database.write((tx) => tx.deleteFrom('leases').where('name', '=', name).where('owner', '=', owner).execute())
    },
    async *sweep({ only = sweepKinds, goesOn = () => Promise.resolve(true), ...input }) {
      const context: SweepContext = { ...parts, ...input, now: database.now() }
      for (const kind of only) {
        if (!(await goesOn())) return
        for await (const swept of sweeps[kind](context)) {
          if (swept.count > 0 || swept.bytes > 0) yield swept
          if (!(await goesOn())) return
        }
      }
    },
  }
}

async function lease(tx: Tx, { owner, leaseMs, now }: { owner: string; leaseMs: number; now: number }): Promise<boolean> {
  await lock(tx, name)
  const held = await tx.selectFrom('leases').selectAll().where('name', '=', name).executeTakeFirst()
  if (held !== undefined && held.owner !== owner && held.lease_until > now) return false
  const row = { owner, lease_until: now + leaseMs }
  await tx
    .insertInto('leases')
    .values({ name, ...row })
    .onConflict((conflict) => conflict.column('name').doUpdateSet(row))
    .execute()
  return true
}
