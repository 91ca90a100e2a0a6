/** A keeper in this process, and the edge of one environment by it: what a target whose instances run elsewhere sends traffic by. */
import { mkdirSync } from 'node:fs'
import { createEdgeControl } from '../../src/drivers/targets/create-edge-control.ts'
import type { EdgeControl } from '../../src/drivers/targets/edge-control.ts'
import { startKeeper } from '../../src/embedded/keeper/keeper.ts'
import { endKeeper } from './keeper-process.ts'
import { findQuietPort } from './quiet-port.ts'

export interface KeeperEdge {
  control: EdgeControl
  /** Where the environment takes requests. */
  url: string
  stop(): Promise<void>
}

/** `directory`: of the test; what the keeper writes lies below it. */
export async function startKeeperEdge(directory: string, environment: string): Promise<KeeperEdge> {
  mkdirSync(`${directory}/apps`, { recursive: true })
  const keeper = await startKeeper({ directory: `${directory}/keeper`, apps: `${directory}/apps`, log: () => undefined })
  const port = await findQuietPort()
  const place = { driver: 'embedded' as const, host: '127.0.0.1', port }
  return {
    control: createEdgeControl({ socket: keeper.socket, edges: { [environment]: place } }),
    url: `http://127.0.0.1:${String(port)}`,
    async stop() {
      await keeper.stop()
      await endKeeper(`${directory}/keeper`)
    },
  }
}
