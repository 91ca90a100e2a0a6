import { z } from 'zod'
import type { EdgeControl } from './edge-control.ts'
import { Activated, createEnvironmentsClient, type EdgePlace } from './keeper-client.ts'

export interface EdgeControlOptions {
  /** The keeper's Unix socket. */
  socket: string
  /** Where each environment takes requests. */
  edges: Readonly<Record<string, EdgePlace>>
}

/** Edges by the keeper, for targets whose instances are not its own. */
export function createEdgeControl(options: EdgeControlOptions): EdgeControl {
  const { view, openEdge, carryOut, ask } = createEnvironmentsClient(options)
  return {
    open: openEdge,
    async view(environment) {
      const { fence, active, upstreams, traffic } = await view(environment)
      return { fence, upstreams, traffic, ...(active === undefined ? {} : { active }) }
    },
    async route(operation, upstreams) {
      await openEdge(operation.environment)
      const { previousDigest } = await carryOut(Activated, 'route', operation, { upstreams })
      return previousDigest === undefined ? {} : { previousDigest }
    },
    async announce(operation) {
      await carryOut(z.unknown(), 'announce', operation)
    },
    async unroute(operation) {
      await carryOut(z.unknown(), 'clear', operation)
    },
    drained: (environment, instances) => ask(environment, 'drained', { instances }),
  }
}
