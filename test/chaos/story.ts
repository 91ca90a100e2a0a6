/** What the world remembers at the end: read once, for the report and for the evidence. */
import type { Deployment } from '../../src/domain/environment.ts'
import type { StoredRunEvent } from '../../src/domain/run-event.ts'
import type { Run, StepRow, Store } from '../../src/store/store.ts'
import { readPages } from './collections.ts'
import { readEffects, type Effect } from './effects.ts'
import type { Fault, Ledger } from './evidence.ts'
import type { Mark } from './faults.ts'
import { readEvents } from './memory.ts'
import { environmentNames } from './pipelines.ts'
import { readSchemas, type MigrationLine } from './schemas.ts'
import type { ChaosWorld } from './world.ts'

export interface Story {
  runs: { run: Run; steps: StepRow[]; events: StoredRunEvent[] }[]
  environments: Awaited<ReturnType<Store['environments']['list']>>
  deployments: Deployment[]
  deliveries: Awaited<ReturnType<Store['deliveries']['list']>>['items']
  effects: Effect[]
  migrations: MigrationLine[]
}

export async function readStory({ store, notes }: ChaosWorld): Promise<Story> {
  const runs: Story['runs'] = []
  for (const run of await readPages((cursor) => store.runs.list({ limit: 200, cursor }))) {
    runs.push({ run, steps: await store.runs.steps(run.id), events: await readEvents(store, run.id) })
  }
  const deployments = await Promise.all(
    environmentNames.map((environment) =>
      readPages((cursor) => store.environments.deployments({ environment, limit: 200, cursor })),
    ),
  )
  return {
    runs,
    environments: await store.environments.list(),
    deployments: deployments.flat(),
    deliveries: await readPages((cursor) => store.deliveries.list({ limit: 200, cursor })),
    effects: readEffects(notes).lines,
    migrations: readSchemas(notes).lines,
  }
}

/** For each fault that was mended: when what it had broken was next seen to move. */
export function noteProgress(ledger: Ledger, story: Story, markOf: (fault: Fault) => Mark): void {
  const moves = movesOf(story).toSorted((a, b) => a.at - b.at)
  for (const fault of ledger.faults) {
    const { healedAt } = fault
    if (healedAt === undefined) continue
    const mark = markOf(fault)
    const next = moves.find((move) => move.at > healedAt && shows(move, mark))
    if (next !== undefined) fault.progressAt = next.at
  }
}

interface Move {
  at: number
  source: string
  run?: string
}

function movesOf({ runs, deployments }: Story): Move[] {
  const told = runs.flatMap(({ run, events }) => events.map(({ at, source }): Move => ({ at, source, run: run.id })))
  const rows = deployments.flatMap(({ environment, startedAt, activatedAt, undoneAt, endedAt }) =>
    [startedAt, activatedAt, undoneAt, endedAt].flatMap((at): Move[] =>
      at === undefined ? [] : [{ at, source: `environment/${environment}` }],
    ),
  )
  return [...told, ...rows]
}

function shows({ source, run }: Move, mark: Mark): boolean {
  if (mark === 'anything') return true
  if (mark === 'deployments') return source.startsWith('environment/')
  if ('run' in mark) return run === mark.run
  return source === ('runner' in mark ? `runner/${mark.runner}` : `environment/${mark.environment}`)
}
