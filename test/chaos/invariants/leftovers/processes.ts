/** Processes of ended runs, and processes in the world's directory that are nobody's. */
import { tagVariable } from '../../../../src/runner/leftovers.ts'
import type { World } from '../../evidence.ts'
import type { Memory } from '../../memory.ts'
import { listeningPorts, listProcesses, withDescendants, type SeenProcess } from '../../processes.ts'
import type { Leftovers } from '../nothing-is-left.ts'

export function worksIn({ directory: top, runners }: World): (seen: SeenProcess) => boolean {
  const places = [top, ...runners.flatMap(({ data, workspaces }) => [data, workspaces])]
  return ({ directory }) => places.some((place) => directory === place || directory.startsWith(`${place}/`))
}

export function findProcesses({ world, environments, runs }: Memory, ended: ReadonlySet<string>): Leftovers {
  const processes = listProcesses()
  const ours = withDescendants(
    world.processes().map(({ pid }) => pid),
    processes,
  )
  const known = new Set(runs.map(({ run }) => run.id))
  const instances = new Set(environments.flatMap(({ keeper }) => keeper?.instances.map(({ id }) => id) ?? []))
  const isHere = worksIn(world)

  function whyLeft(seen: SeenProcess): string | undefined {
    const runId = seen.environment.get(tagVariable)?.split('/')[0]
    if (runId !== undefined && ended.has(runId)) return `carries the tag of run ${runId}, which has ended`
    if (runId !== undefined && known.has(runId)) return undefined
    const instance = seen.environment.get('BELAY_INSTANCE')
    if (instance !== undefined && isHere(seen)) {
      return instances.has(instance) ? undefined : `is the instance ${instance}, which the keeper does not know`
    }
    const edge = seen.environment.get('BELAY_EDGE')
    if (edge !== undefined && environments.some(({ name }) => edge === `${world.places.keeper}/edges/${name}/haproxy`))
      return undefined
    return isHere(seen) && !ours.has(seen.pid) ? `works in ${seen.directory}, and belongs to no part` : undefined
  }

  const left = processes.flatMap((seen) => {
    const why = whyLeft(seen)
    if (why === undefined) return []
    const ports = listeningPorts(seen.pid)
    const listens = ports.length === 0 ? '' : `; it listens on ${ports.join(', ')}`
    return [{ about: `process ${String(seen.pid)}`, facts: `${why}: ${seen.command.slice(0, 200)}${listens}` }]
  })
  return { looked: processes.length, left }
}
