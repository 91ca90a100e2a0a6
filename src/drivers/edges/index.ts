import type { EdgeDriver } from './edge.ts'
import { embeddedEdge } from './embedded/embedded-edge.ts'
import { haproxyEdge } from './haproxy/haproxy-edge.ts'

/** All edges that Belay knows. A new one is a folder and a line here. */
export const edges = [embeddedEdge, haproxyEdge] as const satisfies readonly EdgeDriver[]

export type EdgeName = (typeof edges)[number]['name']
export const edgeNames: readonly EdgeName[] = edges.map(({ name }) => name)

export function findEdge(name: string): EdgeDriver | undefined {
  return edges.find((driver) => driver.name === name)
}
