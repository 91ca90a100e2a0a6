/** Whoever belongs to the world listens where it is to, and nowhere else: a part, an edge, an instance that serves. */
import { tagVariable } from '../../../../src/runner/leftovers.ts'
import type { Memory } from '../../memory.ts'
import { listeningPorts, listProcesses, withDescendants, type SeenProcess } from '../../processes.ts'
import type { Leftovers } from '../nothing-is-left.ts'
import { worksIn } from './processes.ts'

export function findPorts({ world, environments, runs }: Memory): Leftovers {
  const processes = listProcesses()
  const parts = world.processes()
  const ours = withDescendants(
    parts.map(({ pid }) => pid),
    processes,
  )
  const known = new Set(runs.map(({ run }) => run.id))
  const isHere = worksIn(world)
  const serving = new Set(
    environments.flatMap(({ keeper }) =>
      (keeper?.instances ?? []).flatMap(({ id, digest, stopping }) => (digest === keeper?.active && !stopping ? [id] : [])),
    ),
  )
  const found: Leftovers = { looked: 0, left: [] }

  function isOfWorld(seen: SeenProcess): boolean {
    const runId = seen.environment.get(tagVariable)?.split('/')[0]
    const edge = seen.environment.get('BELAY_EDGE')?.startsWith(`${world.places.keeper}/`) === true
    return ours.has(seen.pid) || isHere(seen) || edge || (runId !== undefined && known.has(runId))
  }

  function mayListen(seen: SeenProcess, port: number): boolean {
    const part = parts.find(({ pid }) => pid === seen.pid)?.part
    if (part !== undefined) return world.ports[part]?.includes(port) ?? true
    const edge = environments.find(({ name }) => seen.environment.get('BELAY_EDGE')?.endsWith(`/edges/${name}/haproxy`) === true)
    if (edge !== undefined) return edge.keeper?.edge?.port === port
    const instance = seen.environment.get('BELAY_INSTANCE')
    return instance !== undefined && serving.has(instance)
  }

  for (const seen of processes.filter(isOfWorld)) {
    for (const port of new Set(listeningPorts(seen.pid))) {
      found.looked += 1
      if (mayListen(seen, port)) continue
      const facts = `is held by process ${String(seen.pid)}, which is not to listen there: ${seen.command.slice(0, 200)}`
      found.left.push({ about: `port ${String(port)}`, facts })
    }
  }
  return found
}
