/** Steps and what they need: ids only, in the order in which they were written. */
export interface Node {
  id: string
  needs: readonly string[]
}

/** Everything that must have ended before a step, near and far. The graph has no cycle. */
export function ancestorsOf(nodes: readonly Node[]): Map<string, ReadonlySet<string>> {
  const ancestors = new Map<string, ReadonlySet<string>>()
  for (const { id, needs } of sortByNeeds(nodes)) {
    const all = new Set(needs)
    for (const need of needs) for (const further of ancestors.get(need) ?? []) all.add(further)
    ancestors.set(id, all)
  }
  return ancestors
}

/** What is needed comes first; apart from that, the order in which it was written. Steps on a cycle are left out. */
export function sortByNeeds<T extends Node>(nodes: readonly T[]): T[] {
  const sorted: T[] = []
  const done = new Set<string>()
  const waiting = [...nodes]
  while (waiting.length > 0) {
    const next = waiting.findIndex(({ needs }) => needs.every((need) => done.has(need)))
    const [node] = next === -1 ? [] : waiting.splice(next, 1)
    if (node === undefined) break
    sorted.push(node)
    done.add(node.id)
  }
  return sorted
}

/** Each circle once, as the ids on it: the first needs the second, and the last the first. */
export function findCycles(nodes: readonly Node[]): string[][] {
  const needsOf = new Map(nodes.map(({ id, needs }) => [id, needs]))
  const state = new Map<string, 'open' | 'closed'>()
  const trail: string[] = []
  const cycles: string[][] = []
  const visit = (id: string): void => {
    if (state.get(id) === 'closed') return
    if (state.get(id) === 'open') {
      cycles.push(trail.slice(trail.indexOf(id)))
      return
    }
    state.set(id, 'open')
    trail.push(id)
    for (const need of needsOf.get(id) ?? []) visit(need)
    trail.pop()
    state.set(id, 'closed')
  }
  for (const { id } of nodes) visit(id)
  return cycles
}
