/** After the healing: what is still under way, by its name, until nothing is. */
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import type { ChaosWorld } from './world.ts'

/** Everything that has not come to its end, as a person would be told. Empty: all is at rest. */
export async function findUnfinished({ store }: ChaosWorld): Promise<string[]> {
  const [runs, environments, outbox] = await Promise.all([
    store.runs.listOpen(),
    store.environments.list(),
    store.outbox.list({ limit: 200 }),
  ])
  return [
    ...runs.map(({ number, id, status, reason }) => {
      return `run ${String(number)} (${id}) is ${status}${reason === undefined ? '' : `: ${reason}`}`
    }),
    ...environments.flatMap(({ name, active, queue, rollbacks, undos }) => [
      ...(active === undefined
        ? []
        : [`environment ${name}: ${active.kind} of release ${String(active.release.number)} is under way`]),
      ...(queue.length + rollbacks.length + undos.length === 0
        ? []
        : [`environment ${name}: ${String(queue.length + rollbacks.length + undos.length)} wait`]),
    ]),
    ...outbox.items
      .filter(({ givenUp }) => !givenUp)
      .map(({ payload, error }) => `the forge is not told of run ${String(payload.runNumber)} yet: ${error ?? 'on its way'}`),
  ]
}

/** Directories that runners still have for runs. */
export function findUnswept({ runners }: ChaosWorld): string[] {
  const places = runners.flatMap(({ data, workspaces }) => [workspaces, join(data, 'runner/journal')])
  return places.flatMap((place) => (existsSync(place) ? readdirSync(place).map((name) => join(place, name)) : []))
}
