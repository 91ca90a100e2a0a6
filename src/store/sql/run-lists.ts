import { isEndedRun } from '../../domain/run.ts'
import type { PageRequest, RunFilter, RunStore } from '../store.ts'
import type { StoreDatabase } from './database.ts'
import { limitOf, pageOf, positionOf } from './pages.ts'
import { toRun } from './run-row.ts'
import { toStepRow } from './step-rows.ts'

type RunLists = Pick<RunStore, 'find' | 'findByNumber' | 'list' | 'listOpen' | 'listStarted' | 'whichEnded' | 'steps'>

/** How many ids go into one question: SQLite and PostgreSQL both take many more. */
const idsAtOnce = 500

export function createRunLists(database: StoreDatabase): RunLists {
  const { read } = database
  return {
    async find(runId) {
      const row = await read.selectFrom('runs').selectAll().where('id', '=', runId).executeTakeFirst()
      return row === undefined ? undefined : toRun(row)
    },
    async findByNumber(project, number) {
      const row = await read
        .selectFrom('runs')
        .selectAll()
        .where('project', '=', project)
        .where('number', '=', number)
        .executeTakeFirst()
      return row === undefined ? undefined : toRun(row)
    },
    async list(input) {
      const limit = limitOf(input)
      const rows = await selectRuns(database, input)
        .limit(limit + 1)
        .execute()
      return pageOf(rows, limit, (row) => [row.sequence, row.number], toRun)
    },
    async listOpen() {
      const rows = await read
        .selectFrom('runs')
        .selectAll()
        .where('ended_at', 'is', null)
        .orderBy('sequence')
        .orderBy('number')
        .execute()
      return rows.map(toRun)
    },
    async listStarted() {
      const rows = await read
        .selectFrom('runs')
        .selectAll('runs')
        .where('ended_at', 'is', null)
        // Asked for what is owed, not for what is done: an older round's start says nothing of this one's.
        .where(({ not, exists, selectFrom }) =>
          not(
            exists(
              selectFrom('commands')
                .select('commands.id')
                .whereRef('commands.run_id', '=', 'runs.id')
                .whereRef('commands.round', '=', 'runs.round')
                .where('commands.kind', '=', 'start')
                .where('commands.done_at', 'is', null),
            ),
          ),
        )
        .orderBy('sequence')
        .orderBy('number')
        .execute()
      return rows.map(toRun)
    },
    async whichEnded(runIds) {
      const open = new Set<string>()
      for (let from = 0; from < runIds.length; from += idsAtOnce) {
        const ids = runIds.slice(from, from + idsAtOnce)
        const rows = await read.selectFrom('runs').select(['id', 'status']).where('id', 'in', ids).execute()
        for (const { id, status } of rows) if (!isEndedRun(status)) open.add(id)
      }
      return runIds.filter((id) => !open.has(id))
    },
    async steps(runId) {
      const rows = await read
        .selectFrom('steps')
        .selectAll()
        .where('run_id', '=', runId)
        .orderBy('step')
        .orderBy('attempt')
        .execute()
      return rows.map(toStepRow)
    },
  }
}

/** Newest first: by the triggers' order, then by number (siblings share a trigger). */
function selectRuns({ read }: StoreDatabase, input: PageRequest & RunFilter) {
  const position = positionOf(input)
  let query = read.selectFrom('runs').selectAll()
  if (input.project !== undefined) query = query.where('project', '=', input.project)
  if (input.branch !== undefined) query = query.where('branch', '=', input.branch)
  if (input.status !== undefined) query = query.where('status', '=', input.status)
  if (position !== undefined) {
    const [sequence, number] = [position[0], Number(position[1])]
    query = query.where((row) =>
      row.or([row('sequence', '<', sequence), row.and([row('sequence', '=', sequence), row('number', '<', number)])]),
    )
  }
  return query.orderBy('sequence', 'desc').orderBy('number', 'desc')
}
