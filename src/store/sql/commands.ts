import type { ExpressionBuilder } from 'kysely'
import type { Command, CommandStore } from '../store.ts'
import { topics } from '../topics.ts'
import type { StoreDatabase, Tx } from './database.ts'
import { fromJson, present } from './json.ts'
import { lock, locks } from './lock.ts'
import { insertEvent } from './record-events.ts'
import type { CommandTable, Tables } from './schema.ts'

export function createCommandStore(database: StoreDatabase): CommandStore {
  async function change(id: number, values: Partial<CommandTable>): Promise<void> {
    const isThis = (row: ExpressionBuilder<Tables, 'commands'>) => row.and([row('id', '=', id), row('done_at', 'is', null)])
    await database.write(async (tx, tell) => {
      await tx.updateTable('commands').set(values).where(isThis).execute()
      // It, or what stood behind it in its run, may be due now.
      tell(topics.commands)
    })
  }

  return {
    async lease(input) {
      const due = await selectDue(database.read, { ...input, now: database.now(), limit: 1 }).execute()
      // Looked at without the write lock first: an idle dispatcher writes nothing.
      if (due.length === 0) return []
      return database.write((tx) => lease(tx, { ...input, now: database.now() }))
    },
    async hold(reason) {
      if ((await selectUntold(database.read).limit(1).execute()).length === 0) return
      await database.write(async (tx, tell) => {
        const runIds = await hold(tx, { reason, now: database.now() })
        for (const runId of runIds) tell(topics.runEvents(runId))
      })
    },
    async done(id) {
      const now = database.now()
      await change(id, { done_at: now, lease_owner: null, lease_until: null, error: null })
    },
    async retry(id, { retryAt, error }) {
      await change(id, { due_at: retryAt, error, lease_owner: null, lease_until: null })
    },
    async wait(timeoutMs) {
      const dueInMs = (await nextDueAt(database)) - database.now()
      const soonest = Math.max(0, Math.min(timeoutMs, dueInMs))
      const isReady = async () => (await selectDue(database.read, { now: database.now(), limit: 1 }).execute()).length > 0
      await database.hub.wait(topics.commands, { timeoutMs: soonest, isReady })
    },
  }
}

interface Due {
  now: number
  limit: number
  only?: 'cancel' | undefined
}

async function lease(tx: Tx, input: Due & { owner: string; leaseMs: number }): Promise<Command[]> {
  // What another dispatcher is leasing just now is left to it.
  const due = await selectDue(tx, input).forUpdate().skipLocked().execute()
  if (due.length > 0) {
    await tx
      .updateTable('commands')
      .set((row) => ({
        lease_owner: input.owner,
        lease_until: input.now + input.leaseMs,
        attempts: row('attempts', '+', 1),
      }))
      .where(
        'id',
        'in',
        due.map((row) => row.id),
      )
      .execute()
  }
  return due.map(toCommand)
}

function selectDue(from: StoreDatabase['read'], { now, limit, only }: Due) {
  const heads = from.selectFrom('commands').selectAll().where(isHead)
  return (
    (only === undefined ? heads : heads.where((row) => row.or([row('kind', '=', only), isBefore(row, only)])))
      .where('due_at', '<=', now)
      .where((row) => row.or([row('lease_until', 'is', null), row('lease_until', '<=', now)]))
      // The order of the index of what is undone; without it all commands ever made are read.
      .orderBy('due_at')
      .orderBy('id')
      .limit(limit)
  )
}

/** How many runs are told in one transaction; the next call goes on. */
const heldAtOnce = 100

/** Starts that nobody has tried, and of which nothing was said yet. */
function selectUntold(from: StoreDatabase['read']) {
  return from
    .selectFrom('commands')
    .innerJoin('runs', 'runs.id', 'commands.run_id')
    .select(['runs.id', 'runs.round', 'runs.last_seq', 'commands.id as command'])
    .whereRef('commands.round', '=', 'runs.round')
    .where('commands.kind', '=', 'start')
    .where('commands.done_at', 'is', null)
    .where('commands.attempts', '=', 0)
    .where('commands.error', 'is', null)
    .where('runs.ended_at', 'is', null)
}

async function hold(tx: Tx, { reason, now }: { reason: string; now: number }): Promise<string[]> {
  await lock(tx, locks.queue)
  // One that is being leased just now is about to begin.
  const runs = await selectUntold(tx).orderBy('commands.id').limit(heldAtOnce).forUpdate('commands').skipLocked().execute()
  for (const { id, round, last_seq: n, command } of runs) {
    // That it was said is noted there: the run's own reason may be another one's, who goes on with it.
    await tx.updateTable('commands').set({ error: reason }).where('id', '=', command).execute()
    await tx.updateTable('runs').set({ reason }).where('id', '=', id).execute()
    const body = { type: 'run' as const, status: 'queued' as const, reason }
    await insertEvent(tx, id, { source: 'store', epoch: round, n, at: now, body })
  }
  return runs.map(({ id }) => id)
}

/** One of that kind of the same run waits for it. */
function isBefore(row: ExpressionBuilder<Tables, 'commands'>, kind: Command['kind']) {
  const later = row
    .selectFrom('commands as later')
    .select('later.id')
    .whereRef('later.run_id', '=', 'commands.run_id')
    .whereRef('later.id', '>', 'commands.id')
    .where('later.kind', '=', kind)
    .where('later.done_at', 'is', null)
  return row.exists(later)
}

/** Undone, and none before it in its run is undone. */
function isHead(row: ExpressionBuilder<Tables, 'commands'>) {
  const earlier = row
    .selectFrom('commands as earlier')
    .select('earlier.id')
    .whereRef('earlier.run_id', '=', 'commands.run_id')
    .whereRef('earlier.id', '<', 'commands.id')
    .where('earlier.done_at', 'is', null)
  return row.and([row('done_at', 'is', null), row.not(row.exists(earlier))])
}

/** When the next head of a run comes due or its lease ends; Infinity if nothing is owed. */
async function nextDueAt(database: StoreDatabase): Promise<number> {
  const heads = await database.read
    .selectFrom('commands')
    .select(['due_at', 'lease_until'])
    .where(isHead)
    .orderBy('due_at')
    .execute()
  return heads.reduce((soonest, head) => Math.min(soonest, Math.max(head.due_at, head.lease_until ?? 0)), Infinity)
}

function toCommand(row: CommandTable): Command {
  return present({
    id: row.id,
    runId: row.run_id,
    kind: row.kind,
    actor: row.actor === null ? null : fromJson(row.actor),
    reason: row.reason,
    round: row.round,
    from: row.from_step,
    attempts: row.attempts,
  })
}
