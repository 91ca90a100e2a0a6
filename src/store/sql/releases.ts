import { randomUUID } from 'node:crypto'
import { sql, type SqlBool } from 'kysely'
import type { Release } from '../../domain/release.ts'
import { Digest } from '../../domain/step.ts'
import type { ReleaseStore } from '../store.ts'
import { counters, nextNumber } from './counters.ts'
import type { StoreDatabase, Tx } from './database.ts'
import { fromJson, present, toJson } from './json.ts'
import { lock, locks } from './lock.ts'
import { limitOf, pageOf, positionOf } from './pages.ts'
import type { ReleaseTable } from './schema.ts'

export function createReleaseStore(database: StoreDatabase): ReleaseStore {
  const { read } = database
  return {
    async create(input) {
      return toRelease(await database.write((tx) => ensureRelease(tx, input, database.now())))
    },
    async find(id) {
      const row = await read.selectFrom('releases').selectAll().where('id', '=', id).executeTakeFirst()
      return row === undefined ? undefined : toRelease(row)
    },
    async findByNumber(project, number) {
      const row = await selectOf(database, project).where('number', '=', number).executeTakeFirst()
      return row === undefined ? undefined : toRelease(row)
    },
    async findByDigest(project, digest) {
      // Anything else could hold what LIKE reads as a wildcard.
      if (!Digest.safeParse(digest).success) return undefined
      const row = await selectOf(database, project)
        .where(sql<SqlBool>`image like ${`%"digest":"${digest}"%`}`)
        .orderBy('number', 'desc')
        .limit(1)
        .executeTakeFirst()
      return row === undefined ? undefined : toRelease(row)
    },
    async list(input) {
      const limit = limitOf(input)
      const position = positionOf(input)
      let query = read.selectFrom('releases').selectAll()
      if (input.project !== undefined) query = query.where('project', '=', input.project)
      if (position !== undefined) {
        const [createdAt, id] = [position[0], String(position[1])]
        query = query.where((row) =>
          row.or([row('created_at', '<', createdAt), row.and([row('created_at', '=', createdAt), row('id', '<', id)])]),
        )
      }
      const rows = await query
        .orderBy('created_at', 'desc')
        .orderBy('id', 'desc')
        .limit(limit + 1)
        .execute()
      return pageOf(rows, limit, (row) => [row.created_at, row.id], toRelease)
    },
  }
}

function selectOf({ read }: StoreDatabase, project: string) {
  return read.selectFrom('releases').selectAll().where('project', '=', project)
}

async function ensureRelease(tx: Tx, input: Parameters<ReleaseStore['create']>[0], now: number): Promise<ReleaseTable> {
  await lock(tx, locks.release(input.project))
  const known = await tx
    .selectFrom('releases')
    .selectAll()
    .where('run_id', '=', input.runId)
    .where('step', '=', input.step)
    .executeTakeFirst()
  if (known !== undefined) return known
  const number = await nextNumber(tx, counters.release(input.project))
  const row: ReleaseTable = {
    id: randomUUID(),
    project: input.project,
    number,
    run_id: input.runId,
    step: input.step,
    sha: input.sha,
    version: input.version ?? String(number),
    image: toJson(input.image),
    artifacts: toJson(input.artifacts),
    created_at: now,
    removed_at: null,
    let_go_at: null,
  }
  await tx.insertInto('releases').values(row).execute()
  return row
}

function toRelease(row: ReleaseTable): Release {
  return present({
    id: row.id,
    project: row.project,
    number: row.number,
    runId: row.run_id,
    sha: row.sha,
    version: row.version,
    image: fromJson(row.image),
    artifacts: fromJson(row.artifacts),
    createdAt: row.created_at,
    removedAt: row.removed_at,
  })
}
