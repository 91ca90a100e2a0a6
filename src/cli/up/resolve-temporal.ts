import type { Config } from '../../config/config.ts'
import type { Places } from '../../config/places.ts'
import { findTemporal } from '../../embedded/temporal/find-temporal.ts'
import { prepareTemporalDirectory } from '../../embedded/temporal/temporal-directory.ts'
import { waitForTemporal } from '../../embedded/temporal/temporal-ready.ts'
import type { TemporalAt } from '../part/part-input.ts'

export interface ResolvedTemporal {
  temporal: TemporalAt
  embedded?: { program: string; port: number }
}

/** Somebody else's Temporal, which must answer now, or the embedded one, found or fetched, with the port it will have. */
export async function resolveTemporal(options: {
  config: Config
  places: Places
  env: NodeJS.ProcessEnv
  say: (line: string) => void
}): Promise<ResolvedTemporal> {
  const { config, places, env, say } = options
  if (config.temporal !== undefined) {
    await waitForTemporal({ ...config.temporal, timeoutMs: 10_000, ours: false })
    return { temporal: config.temporal }
  }
  const found = await findTemporal({ env, say })
  if (found.kind === 'address') return { temporal: { address: found.address, namespace: found.namespace } }
  const { port } = await prepareTemporalDirectory(places.temporal)
  return { temporal: { address: `127.0.0.1:${String(port)}`, namespace: 'default' }, embedded: { program: found.file, port } }
}
