import type { Upstream } from '../../drivers/edges/edge.ts'
import type { EnvironmentRecord } from './keeper-state.ts'

/** What of an environment's record says where traffic goes. */
export type Selection = Pick<EnvironmentRecord, 'active' | 'upstreams'>

/** Where an environment with these instances sends traffic. */
export function routeOf({ active, upstreams }: Selection, instances: EnvironmentRecord['instances']): readonly Upstream[] {
  if (upstreams.length > 0) return upstreams
  const serving = instances.find(({ digest, stopping }) => digest === active && !stopping)
  return serving === undefined ? [] : [{ id: serving.id, digest: serving.digest, host: '127.0.0.1', port: serving.port }]
}

export function sameRoute(a: readonly Upstream[], b: readonly Upstream[]): boolean {
  const keys = (route: readonly Upstream[]): string[] =>
    route.map(({ id, host, port }) => `${id} ${host} ${String(port)}`).toSorted()
  return keys(a).join('\n') === keys(b).join('\n')
}
