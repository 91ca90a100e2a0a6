/** Server, control and deployer, in one process as `belay up` has them or each on its own. */
import type { Logger } from 'pino'
import type { Config } from '../src/config/config.ts'
import type { Places } from '../src/config/places.ts'
import { messageOf } from '../src/domain/errors.ts'
import { workflowBundlePath } from '../src/embedded/build-workflow-bundle.ts'
import { pause } from '../src/server/backoff.ts'
import { startCleanUp } from '../src/server/clean-up.ts'
import { openStore } from '../src/store/open-store.ts'
import { start as startControl } from './control.ts'
import { ensureCredentials } from './credentials.ts'
import { start as startDeployer } from './deployer.ts'
import { createFindRepository, createFindRules } from './find-rules.ts'
import { agreeOnKeys } from './payload-keys.ts'
import { start as startServer } from './server.ts'

export const mainRoles = ['server', 'control', 'deployer'] as const
export type MainRole = (typeof mainRoles)[number]

export interface MainOptions {
  config: Config
  places: Places
  temporal: { address: string; namespace: string }
  roles: readonly MainRole[]
  log: Logger
  onMissingKey?: ((id: string) => void) | undefined
}

interface Stoppable {
  stop(): Promise<void>
}

/**
 * The server first: it takes hooks while Temporal is away. Control and deployer are tried at once, and again with backoff
 * until they are up; `start` does not wait for that. Stops in the opposite order.
 */
export async function start(options: MainOptions): Promise<{ url?: string; stop(): Promise<void> }> {
  const { config, places, temporal, roles, log } = options
  const store = await openStore({ database: config.database ?? places.database, blobs: places.blobs, logs: places.logs })
  const stopping = new AbortController()
  const started: (() => Promise<void>)[] = [() => store.close()]
  const stop = async () => {
    stopping.abort()
    for (const end of started.splice(0).reverse()) {
      await end().catch((error: unknown) => {
        log.error({ error: messageOf(error) }, 'did not stop in order')
      })
    }
  }
  try {
    // A deployer needs none of them: of several machines it may be the first to reach an empty database.
    if (roles.includes('server') || roles.includes('control')) await ensureCredentials(store, places, log)
    const server = roles.includes('server') ? await startServer({ config, store, temporal, log }) : undefined
    if (server !== undefined) started.push(() => server.stop())
    const insist = async (role: MainRole, begin: () => Promise<Stoppable>) => {
      if (roles.includes(role)) started.push(await keepTrying({ role, begin, log, signal: stopping.signal }))
    }
    if (roles.includes('deployer') && server === undefined) {
      // The images that it has pulled to its own disk.
      const cleaning = startCleanUp({ config: { ...config, data: places.data }, store, log, only: ['images'] })
      started.push(() => cleaning.stop())
    }
    const bundle = workflowBundlePath()
    const known = {
      findRules: createFindRules(config),
      findRepository: createFindRepository(config),
      environments: Object.keys(config.environments),
    }
    const { payloadKeys = [] } = config
    await insist('control', async () => {
      await agreeOnKeys(store, payloadKeys)
      return startControl({ store, temporal, ...known, bundle, payloadKeys, log })
    })
    await insist('deployer', async () => {
      await agreeOnKeys(store, payloadKeys)
      return startDeployer({ config, places, temporal, storeId: store.id, onMissingKey: options.onMissingKey })
    })
    return { ...(server === undefined ? {} : { url: server.url }), stop }
  } catch (error) {
    await stop()
    throw error
  }
}

/** Resolves after the first attempt, good or not; what it resolves to stops the worker, or the attempts. */
async function keepTrying(options: {
  role: string
  begin: () => Promise<Stoppable>
  log: Logger
  signal: AbortSignal
}): Promise<() => Promise<void>> {
  const { role, begin, log, signal } = options
  let worker: Stoppable | undefined
  const attempt = async () => {
    try {
      worker = await begin()
      log.info({ role }, 'ready')
    } catch (error) {
      log.warn({ role, error: messageOf(error) }, 'cannot start yet')
    }
  }
  await attempt()
  const insisting = (async () => {
    for (let waitMs = 200; worker === undefined && !signal.aborted; waitMs = Math.min(waitMs * 2, 5000)) {
      await pause(waitMs, signal)
      if (!signal.aborted) await attempt()
    }
  })()
  return async () => {
    await insisting
    await worker?.stop()
  }
}
