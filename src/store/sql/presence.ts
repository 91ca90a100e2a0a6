import type { PresenceReport, PresenceStore } from '../store.ts'
import { writeAudit } from './audit.ts'
import type { StoreDatabase, Tx } from './database.ts'
import { fromJson, toJson } from './json.ts'
import { lock, locks } from './lock.ts'

export function createPresenceStore(database: StoreDatabase): PresenceStore {
  return {
    report: (input) =>
      database.write(async (tx) => {
        const spokenFor = await claim(tx, input, database.now())
        if (spokenFor.type === 'other') return spokenFor
        await writeReport(tx, input)
        return spokenFor
      }),
    async claim(input) {
      const known = await database.read
        .selectFrom('runners')
        .select('token')
        .where('runner', '=', input.runner)
        .executeTakeFirst()
      if (known?.token === input.token) return { type: 'own' }
      return await database.write((tx) => claim(tx, input, database.now()))
    },
    async expire(seenBefore) {
      const late = await database.read
        .selectFrom('runners')
        .select('runner')
        .where('active', '=', 1)
        .where('seen_at', '<', seenBefore)
        .execute()
      if (late.length === 0) return []
      return await database.write(async (tx) => {
        const since = database.now()
        const gone: string[] = []
        for (const { runner } of late) {
          // It may have reported since, or another server may have been faster.
          const { numUpdatedRows } = await tx
            .updateTable('runners')
            .set({ active: 0, since })
            .where('runner', '=', runner)
            .where('active', '=', 1)
            .where('seen_at', '<', seenBefore)
            .executeTakeFirst()
          if (numUpdatedRows === 0n) continue
          gone.push(runner)
          await tellChange(tx, { runner, at: since, action: 'runner.inactive' })
        }
        return gone
      })
    },
    async list() {
      const rows = await database.read.selectFrom('runners').selectAll().orderBy('runner').execute()
      return rows.map(({ seen_at: seenAt, token: _token, ...row }) => ({
        ...row,
        labels: fromJson(row.labels),
        active: row.active === 1,
        seenAt,
      }))
    },
  }
}

/** Known, moved, and told if it was away before: each by one statement, so that of several servers one tells it. */
async function writeReport(tx: Tx, { runner, slots, busy, labels, token, at }: PresenceReport): Promise<void> {
  const row = { slots, busy, labels: toJson(labels), seen_at: at, token }
  const state = { active: 1, since: at }
  const { numInsertedOrUpdatedRows: inserted } = await tx
    .insertInto('runners')
    .values({ runner, ...row, ...state })
    .onConflict((conflict) => conflict.column('runner').doNothing())
    .executeTakeFirst()
  // A report that was overtaken on its way does not turn the clock back.
  const move = () => tx.updateTable('runners').where('runner', '=', runner).where('seen_at', '<=', at)
  const isBack = async () => {
    const returned = move()
      .set({ ...row, ...state })
      .where('active', '=', 0)
    return (await returned.executeTakeFirst()).numUpdatedRows === 1n
  }
  if (inserted !== 1n && !(await isBack())) await move().set(row).execute()
  else await tellChange(tx, { runner, at, action: 'runner.active' })
}

async function tellChange(tx: Tx, { runner, at, action }: { runner: string; at: number; action: string }): Promise<void> {
  await writeAudit(tx, { at, actor: `runner/${runner}`, action, subject: runner })
}

/** A token of the runner's own name speaks for it; else the first that did, as long as it is valid. */
async function claim(tx: Tx, { runner, token }: { runner: string; token: string }, now: number) {
  const known = await tx.selectFrom('runners').select('token').where('runner', '=', runner).executeTakeFirst()
  if (known !== undefined && known.token === token) return { type: 'own' as const }
  if (token !== runner) {
    const rivals = [runner, known?.token ?? runner]
    const live = await tx
      .selectFrom('tokens')
      .select('name')
      .where('name', 'in', rivals)
      .where('role', '=', 'runner')
      .where('revoked_at', 'is', null)
      .where((row) => row.or([row('expires_at', 'is', null), row('expires_at', '>', now)]))
      .executeTakeFirst()
    if (live !== undefined) return { type: 'other' as const, token: live.name }
  }
  // Two that come first at once: one of them is.
  await lock(tx, locks.tokens)
  await tx.updateTable('runners').set({ token }).where('runner', '=', runner).execute()
  return { type: 'own' as const }
}
