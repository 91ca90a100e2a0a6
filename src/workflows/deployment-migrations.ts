/**
 * The migrations of a deployment: `up` before anything else, `down` once traffic is back. Without one nothing here is asked of anybody; and no
 * history from before there were any can hold one, so none of this needs `patched`.
 */
import type { MigrationReport, Operation } from '../contract/activities.ts'
import type { Deployment, EnvironmentState, Migration } from '../domain/environment.ts'
import { BelayError } from '../domain/errors.ts'
import { findDowns, findIrreversible, noteDown, noteUp } from '../domain/migrations.ts'
import { deployer, deployerOnce } from './activities.ts'
import { told } from './deployment-phases.ts'
import { insist, type Insisted } from './insist.ts'
import type { News } from './news.ts'

export interface Migrations {
  /** With the new image, while what served before serves on. Its way down is owed and on record before it starts. */
  up(deployment: Deployment, migration: Migration, news: News): Promise<void>
  /** What stands in the way of that level unless a person wants it all the same; undefined: nothing. */
  obstacle(level: string | undefined): string | undefined
  /** Takes down all that is newer than that level, the newest first, each with its own image. `past`: what has no way down stays as it is. */
  downTo(level: string | undefined, deployment: Deployment, how: { news: News; past: boolean }): Promise<Insisted>
}

export interface MigrationsDeps {
  state: EnvironmentState
  /** Named by the id that is made of its fence. */
  nextOperation(idOf: (fence: number) => string): Promise<Operation>
  record(deployment: Deployment): Promise<void>
}

/** An image may have to come first. */
const preparationMs = 15 * 60_000

export function createMigrations({ state, nextOperation, record }: MigrationsDeps): Migrations {
  async function takeDown(migration: Migration, command: string[], deployment: Deployment, news: News): Promise<Insisted> {
    const { release, timeoutMs } = migration
    // It is told as what it is about: another release than the one that the deployment puts there.
    const { previous: _previous, ...about } = { ...deployment, release }
    const tryMs = timeoutMs + preparationMs
    const tried = await insist(
      async () => {
        const operation = await nextOperation((fence) => `${deployment.id}/migrate-down-${migration.id}/${String(fence)}`)
        await told(news, about, 'migrate_down', async () =>
          mustBeDone(await deployerOnce(tryMs).migrate({ ...operation, release, command, timeoutMs })),
        )
      },
      { tryMs },
    )
    if (tried.type === 'done') return tried
    return {
      type: 'failed',
      reason: `the migration of release ${String(release.number)} could not be taken down: ${tried.reason}`,
    }
  }

  function obstacle(level: string | undefined): string | undefined {
    const over = findIrreversible(state, level)
    if (over === undefined) return undefined
    const what = `the migration of release ${String(over.release.number)} cannot be taken down, so nothing goes back over it by itself`
    return `${what}; \`belay retry\` goes back and leaves it applied, \`belay skip\` leaves all as it is`
  }

  return {
    obstacle,
    async up(deployment, migration, news) {
      noteUp(state, migration)
      deployment.migration ??= migration.id
      await record(deployment)
      const { release, up: command, timeoutMs } = migration
      const operation = await nextOperation(() => `${deployment.id}/migrate-${migration.id}`)
      await told(news, deployment, 'migrate', async () =>
        mustBeDone(await deployer(timeoutMs + preparationMs).migrate({ ...operation, release, command, timeoutMs })),
      )
    },
    async downTo(level, deployment, { news, past }) {
      for (const migration of findDowns(state, level)) {
        const { down } = migration
        const stays = past ? undefined : obstacle(migration.on)
        if (down === undefined && stays !== undefined) return { type: 'failed', reason: stays }
        const ended: Insisted = down === undefined ? { type: 'done' } : await takeDown(migration, down, deployment, news)
        if (ended.type === 'failed') return ended
        noteDown(state, migration)
        await record(deployment)
      }
      return { type: 'done' }
    },
  }
}

function mustBeDone(report: MigrationReport): void {
  if (report.done) return
  throw new BelayError({ code: 'refused', message: `the migration did not succeed: ${report.reason}` })
}
