/** All that is remembered of a chaos run, read once: what the store, Temporal, the keeper, the far side and the notes say. */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import type { Delivery } from '../../src/domain/delivery.ts'
import type { Deployment, EnvironmentState } from '../../src/domain/environment.ts'
import { messageOf } from '../../src/domain/errors.ts'
import type { Plan } from '../../src/domain/plan.ts'
import type { StoredRunEvent } from '../../src/domain/run-event.ts'
import { EnvironmentRecord } from '../../src/embedded/keeper/keeper-state.ts'
import type { LogInfo, Run, StepRow, Store } from '../../src/store/store.ts'
import { mapSome, readPages } from './collections.ts'
import { readEffects, type Effects } from './effects.ts'
import type { Ledger, World } from './evidence.ts'
import { readSchemas, type Schemas } from './schemas.ts'
import { openTables } from './tables.ts'
import type { Execution, TemporalView } from './temporal-view.ts'

export interface RunMemory {
  run: Run
  steps: StepRow[]
  events: StoredRunEvent[]
  plan?: Plan
}

/** Or why it did not say. */
export type Said<T> = { said: T } | { silent: string }

export interface EnvironmentMemory {
  name: string
  /** Oldest first. */
  deployments: Deployment[]
  recorded?: EnvironmentState
  /** The highest number that the store knows. */
  fence: number
  /** By its workflow. */
  owner: Said<EnvironmentState>
  keeper?: EnvironmentRecord
  /** The status of its edge's answer, and which instance gave it. */
  edge: Said<{ status: number; instance: string }>
}

export interface Memory {
  world: World
  ledger: Ledger
  /** When all this was read. */
  now: number
  deliveries: Delivery[]
  runs: RunMemory[]
  logs: LogInfo[]
  environments: EnvironmentMemory[]
  executions: Execution[]
  effects: Effects
  schemas: Schemas
}

const atOnce = 8
const pageSize = 200
const eventPage = 1_000
const edgeLimitMs = 10_000

export async function remember(
  world: World,
  ledger: Ledger,
  temporal: Pick<TemporalView, 'executions' | 'askEnvironment'>,
): Promise<Memory> {
  const { store, project } = world
  const deliveries = await readPages((cursor) => store.deliveries.list({ project, limit: pageSize, cursor }))
  const runs = await readPages((cursor) => store.runs.list({ project, limit: pageSize, cursor }))
  return {
    ...{ world, ledger, deliveries },
    runs: await mapSome(runs, atOnce, (run) => rememberRun(world, run)),
    logs: await readLogRows(world),
    environments: await mapSome(world.environments, atOnce, (environment) => rememberEnvironment(world, environment, temporal)),
    executions: temporal.executions,
    effects: readEffects(world.notes),
    schemas: readSchemas(world.notes),
    now: Date.now(),
  }
}

async function rememberRun({ store }: World, run: Run): Promise<RunMemory> {
  const steps = await store.runs.steps(run.id)
  const plan = run.planDigest === undefined ? undefined : await store.runs.findPlan(run.planDigest)
  return { run, steps, events: await readEvents(store, run.id), ...(plan === undefined ? {} : { plan }) }
}

/** All of a run. */
export async function readEvents({ runs }: Store, runId: string): Promise<StoredRunEvent[]> {
  const events: StoredRunEvent[] = []
  for (;;) {
    const page = await runs.events(runId, { after: events.at(-1)?.seq ?? 0, limit: eventPage })
    events.push(...page)
    if (page.length < eventPage) return events
  }
}

const LogRow = z
  .object({
    run_id: z.string(),
    step: z.string(),
    attempt: z.coerce.number(),
    epoch: z.coerce.number(),
    part: z.enum(['step', 'undo', 'finally']),
    size_bytes: z.coerce.number(),
    closed: z.string(),
    truncated: z.string(),
  })
  .transform(({ run_id: runId, size_bytes: sizeBytes, closed, truncated, ...key }): LogInfo => {
    return { runId, sizeBytes, closed: closed === '1', truncated: truncated === '1', ...key }
  })

/** By the table: the store's port lists the logs of a step that one knows of. */
async function readLogRows({ places }: World): Promise<LogInfo[]> {
  const tables = await openTables(places.database)
  try {
    return (await tables.rows('logs')).map((row) => LogRow.parse(row))
  } finally {
    await tables.close()
  }
}

async function rememberEnvironment(
  world: World,
  { name, url }: World['environments'][number],
  temporal: Pick<TemporalView, 'askEnvironment'>,
): Promise<EnvironmentMemory> {
  const { environments } = world.store
  const deployments = await readPages((cursor) => environments.deployments({ environment: name, limit: pageSize, cursor }))
  const { state, fence } = await environments.load(name)
  const keeper = readKeeper(world.places.keeper)[name]
  return {
    ...{ name, fence },
    deployments: deployments.toReversed(),
    ...(state === undefined ? {} : { recorded: state }),
    owner: await ask(() => temporal.askEnvironment(name)),
    ...(keeper === undefined ? {} : { keeper }),
    edge: await ask(() => askEdge(url)),
  }
}

const KeeperFile = z.object({ environments: z.record(z.string(), EnvironmentRecord) })

function readKeeper(directory: string): Record<string, EnvironmentRecord> {
  const file = join(directory, 'state.json')
  return existsSync(file) ? KeeperFile.parse(JSON.parse(readFileSync(file, 'utf8'))).environments : {}
}

/** The keeper gives each instance its id as a variable, and the sample application tells its variables. */
async function askEdge(url: string): Promise<{ status: number; instance: string }> {
  const response = await fetch(`${url}/env?name=BELAY_INSTANCE`, { signal: AbortSignal.timeout(edgeLimitMs) })
  return { status: response.status, instance: await response.text() }
}

async function ask<T>(question: () => Promise<T>): Promise<Said<T>> {
  try {
    return { said: await question() }
  } catch (error) {
    return { silent: messageOf(error) }
  }
}
