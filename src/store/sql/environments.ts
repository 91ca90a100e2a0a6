import { BelayError } from '../../domain/errors.ts'
import type { Deployment, EnvironmentState } from '../../domain/environment.ts'
import type { EnvironmentStore } from '../store.ts'
import type { StoreDatabase, Tx } from './database.ts'
import { fromJson, present, toJson } from './json.ts'
import type { Json } from './json.ts'
import { lock, locks } from './lock.ts'
import { limitOf, pageOf, positionOf } from './pages.ts'
import type { DeploymentTable, Tables } from './schema.ts'

export function createEnvironmentStore(database: StoreDatabase): EnvironmentStore {
  const { read } = database
  return {
    async load(name) {
      const row = await findEnvironment(read, name)
      return present({ state: toState(row?.state ?? null), fence: row?.fence ?? 0 })
    },
    async takeFence(name, fence) {
      await database.write(async (tx) => {
        await lock(tx, locks.environment(name))
        const recorded = (await findEnvironment(tx, name))?.fence ?? 0
        if (fence < recorded) throw staleFence(name, fence, recorded)
        if (fence > recorded) await writeEnvironment(tx, { name, fence, updated_at: database.now() })
      })
    },
    async record(state, deployment) {
      await database.write(async (tx) => {
        await lock(tx, locks.environment(state.name))
        const recorded = await findEnvironment(tx, state.name)
        if (recorded !== undefined && state.fence < recorded.fence) return
        const isLate = recorded !== undefined && isOlder(state, recorded)
        const newest = isLate ? toState(recorded.state) : state
        // Begun by a task that was lost and done over without it: nobody would ever end it.
        const isNobodys = isLate && deployment?.endedAt === undefined && deployment?.id !== newest?.active?.id
        if (deployment !== undefined && !isNobodys) await writeDeployment(tx, deployment)
        if (isLate) return
        await endForgotten(tx, state, deployment)
        await writeEnvironment(tx, {
          name: state.name,
          fence: state.fence,
          state: toJson(state),
          updated_at: database.now(),
        })
      })
    },
    async list() {
      const rows = await read.selectFrom('environments').select('state').where('state', 'is not', null).orderBy('name').execute()
      return rows.map(({ state }) => toState(state)).filter((state) => state !== undefined)
    },
    async deployments(input) {
      const limit = limitOf(input)
      const rows = await selectDeployments(database, input)
        .limit(limit + 1)
        .execute()
      return pageOf(
        rows,
        limit,
        (row) => [row.started_at, row.id],
        (row) => fromJson(row.deployment),
      )
    },
  }
}

function findEnvironment(from: StoreDatabase['read'], name: string) {
  return from.selectFrom('environments').selectAll().where('name', '=', name).executeTakeFirst()
}

function toState(state: Json<EnvironmentState> | null): EnvironmentState | undefined {
  return state === null ? undefined : fromJson(state)
}

/** A late repeat of an earlier write of the same owner. */
function isOlder(state: EnvironmentState, recorded: Tables['environments']): boolean {
  return state.fence === recorded.fence && state.revision < (toState(recorded.state)?.revision ?? 0)
}

function staleFence(name: string, given: number, recorded: number): BelayError {
  return new BelayError({
    code: 'stale',
    message: `fencing number ${String(given)} of ${name} was replaced by ${String(recorded)}`,
    hint: 'Another owner of this environment has begun: this one has to stop.',
  })
}

/** Without `state`, the recorded one stays. */
async function writeEnvironment(
  tx: Tx,
  row: Omit<Tables['environments'], 'state'> & { state?: Json<EnvironmentState> },
): Promise<void> {
  await tx
    .insertInto('environments')
    .values({ state: null, ...row })
    .onConflict((conflict) => conflict.column('name').doUpdateSet(row))
    .execute()
}

async function writeDeployment(tx: Tx, deployment: Deployment): Promise<void> {
  const known = await tx.selectFrom('deployments').select('ended_at').where('id', '=', deployment.id).executeTakeFirst()
  const hasEnded = known !== undefined && known.ended_at !== null
  // A late repeat of an earlier write: an ended deployment does not begin again.
  if (hasEnded && deployment.endedAt === undefined) return
  const row: DeploymentTable = {
    id: deployment.id,
    environment: deployment.environment,
    request_id: deployment.requestId,
    run_id: deployment.runId ?? null,
    status: deployment.status,
    started_at: deployment.startedAt,
    ended_at: deployment.endedAt ?? null,
    deployment: toJson(deployment),
  }
  await tx
    .insertInto('deployments')
    .values(row)
    .onConflict((conflict) => conflict.column('id').doUpdateSet(row))
    .execute()
}

/** More would not be lost at once. */
const mostForgotten = 20

/**
 * What a workflow task records is on record even if the task itself is lost; done over, it may begin another deployment instead. The first
 * one has sent nothing to any target, and has taken no time.
 */
async function endForgotten(tx: Tx, { name, active }: EnvironmentState, written: Deployment | undefined): Promise<void> {
  const newest = tx.selectFrom('deployments').selectAll().where('environment', '=', name)
  const rows = await newest.orderBy('started_at', 'desc').orderBy('id', 'desc').limit(mostForgotten).execute()
  for (const row of rows) {
    if (row.ended_at !== null || row.id === active?.id || row.id === written?.id) continue
    const reason = 'it was on record, and whoever had begun it was lost before anything was done'
    const ended: Deployment = { ...fromJson(row.deployment), status: 'failed', reason, endedAt: row.started_at }
    await writeDeployment(tx, ended)
  }
}

function selectDeployments({ read }: StoreDatabase, input: Parameters<EnvironmentStore['deployments']>[0]) {
  const position = positionOf(input)
  let query = read.selectFrom('deployments').selectAll().where('environment', '=', input.environment)
  if (position !== undefined) {
    const [startedAt, id] = [position[0], String(position[1])]
    query = query.where((row) =>
      row.or([row('started_at', '<', startedAt), row.and([row('started_at', '=', startedAt), row('id', '<', id)])]),
    )
  }
  return query.orderBy('started_at', 'desc').orderBy('id', 'desc')
}
