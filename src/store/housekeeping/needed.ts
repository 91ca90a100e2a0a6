import type { Artifact, Image } from '../../domain/step.ts'
import type { StoreDatabase } from '../sql/database.ts'
import { fromJson } from '../sql/json.ts'
import type { RowContext } from './context.ts'

const uuid = /[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/g

/**
 * Every id that the recorded state of an environment mentions: its last 50 releases, what serves, what is provisional, queued or
 * stuck, and their runs and deployments. Taken as text, so that what a later version records counts, too.
 */
export async function loadNeeded(from: StoreDatabase['read']): Promise<ReadonlySet<string>> {
  const rows = await from.selectFrom('environments').select('state').where('state', 'is not', null).execute()
  return new Set(rows.flatMap(({ state }) => state?.match(uuid) ?? []))
}

export interface KeptRelease {
  runId: string
  image: Image
  artifacts: Artifact[]
}

/** Releases whose files stay. Of a dry run: those that no clean-up would mark now. */
export async function listKeptReleases(context: RowContext): Promise<KeptRelease[]> {
  const { database, now, keep, dry } = context
  const needed = await loadNeeded(database.read)
  const rows = await database.read
    .selectFrom('releases')
    .innerJoin('runs', 'runs.id', 'releases.run_id')
    .select(['releases.id', 'run_id', 'image', 'artifacts', 'let_go_at', 'ended_at'])
    .execute()
  const isOver = (endedAt: number | null) => endedAt !== null && endedAt < now - keep.artifactsMs
  return rows
    .filter(({ id, let_go_at: at, ended_at: ended }) => needed.has(id) || !(dry ? isOver(ended) : at !== null))
    .map((row) => ({ runId: row.run_id, image: fromJson(row.image), artifacts: fromJson(row.artifacts) }))
}
