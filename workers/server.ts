/** The server as a process's part: the front door, the dispatcher behind it, and polling. */
import type { Logger } from 'pino'
import type { Config } from '../src/config/config.ts'
import { BelayError, messageOf } from '../src/domain/errors.ts'
import { createApp } from '../src/server/app.ts'
import { startCleanUp } from '../src/server/clean-up.ts'
import { createDisk } from '../src/server/disk.ts'
import { startDispatcher } from '../src/server/dispatcher.ts'
import { createOrchestrator } from '../src/server/orchestrator.ts'
import { startOutbox } from '../src/server/outbox.ts'
import { createDataConverter } from '../src/payloads/data-converter.ts'
import { startPolling } from '../src/server/poll.ts'
import { startPresenceWatch } from '../src/server/presence-watch.ts'
import type { Store } from '../src/store/store.ts'
import { createLog } from './log.ts'
import { agreeOnce } from './payload-keys.ts'

export interface ServerOptions {
  config: Config
  /** Stays the caller's: it is closed after `stop`, not by it. */
  store: Store
  temporal: { address: string; namespace: string }
  /** Default: JSON lines on standard error. */
  log?: Logger
}

export interface RunningServer {
  /** Where it listens; with port 0 in the configuration, the port it got. */
  url: string
  /** Takes no more requests, ends streams, finishes the commands in flight. */
  stop(): Promise<void>
}

/** Starts even while Temporal is away: hooks are taken then, too, and carried to it later. */
export async function start(options: ServerOptions): Promise<RunningServer> {
  const { config, store, temporal } = options
  const log = options.log ?? createLog('server', 2)
  const keys = config.payloadKeys ?? []
  const orchestrator = createOrchestrator({
    ...temporal,
    storeId: store.id,
    dataConverter: createDataConverter(keys),
    mayCall: agreeOnce(store, keys),
  })
  const deps = { config, store, orchestrator, log, disk: createDisk(config.data) }
  const app = createApp(deps)
  const url = await listen(app, config).catch(async (error: unknown) => {
    await orchestrator.close()
    throw error
  })
  const dispatcher = startDispatcher(deps)
  const poller = startPolling(deps)
  const outbox = startOutbox(deps)
  const cleaning = startCleanUp(deps)
  const presence = startPresenceWatch(deps)
  log.info({ url }, 'server is ready')
  return {
    url,
    async stop() {
      await app.close()
      await Promise.all([dispatcher.stop(), poller.stop(), outbox.stop(), cleaning.stop(), presence.stop()])
      await orchestrator.close()
      log.info('server has stopped')
    },
  }
}

async function listen(app: ReturnType<typeof createApp>, { listen: { host, port } }: Config): Promise<string> {
  try {
    return await app.listen({ host, port })
  } catch (error) {
    throw new BelayError({
      code: 'conflict',
      message: `cannot listen at ${host}:${String(port)}: ${messageOf(error)}`,
      hint: 'Is another server running there? Choose another `listen` address.',
      cause: error,
    })
  }
}
