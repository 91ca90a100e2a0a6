/**
 * The keeper: a small process that owns the applications of the `process` target and the edges. It decides nothing; it
 * does what a fenced operation says, writes it down first, and after any death goes on from what was written.
 */
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs'
import { dirname } from 'node:path'
import { z } from 'zod'
import { BelayError, messageOf } from '../../domain/errors.ts'
import { writeFileDurably } from '../../process/durable-file.ts'
import { acquireHostLock } from '../../process/host-lock.ts'
import { createAppFiles } from './app-files.ts'
import { startControlServer } from './control-server.ts'
import { createEnvironmentKeeper, type EnvironmentKeeper } from './environment-keeper.ts'
import { keeperSocket } from './keeper-socket.ts'
import { openStateStore, type EnvironmentRecord } from './keeper-state.ts'

export interface KeeperOptions {
  /** State, 0700. One keeper at a time: a second one throws `conflict`. */
  directory: string
  /** Unpacked releases lie below it. */
  apps: string
  log(line: string): void
}

export interface Keeper {
  socket: string
  /** Drains, stops the applications, and remembers what served: the next start serves it again. */
  stop(): Promise<void>
}

const Counts = z.record(z.string(), z.record(z.string(), z.object({ requests: z.number(), errors: z.number() })))
const saveCountsMs = 2_000

export async function startKeeper({ directory, apps, log }: KeeperOptions): Promise<Keeper> {
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  const lock = acquireHostLock(`${directory}/keeper.lock`, `the keeper's directory ${directory}`)
  const socket = keeperSocket(directory)
  const store = openStateStore(directory)
  const files = createAppFiles(directory)
  const counts = openCounts(`${directory}/traffic.json`)
  const environments = new Map<string, EnvironmentKeeper>()
  let stopping: Promise<void> | undefined

  function environment(name: string): EnvironmentKeeper {
    const known = environments.get(name)
    if (known !== undefined) return known
    if (stopping !== undefined) throw new BelayError({ code: 'unavailable', message: 'the keeper is stopping', retryable: true })
    const made = createEnvironmentKeeper({
      ...{ name, store, files, apps, log, totals: counts.start[name] ?? {} },
      edges: `${directory}/edges/${name}`,
    })
    environments.set(name, made)
    return made
  }

  function saveCounts(): void {
    try {
      counts.save(Object.fromEntries([...environments].map(([name, keeper]) => [name, keeper.totals()])))
    } catch (error) {
      log(`counts not saved: ${messageOf(error)}`)
    }
  }

  await Promise.all(store.names().map((name) => environment(name).recover()))
  const timer = setInterval(saveCounts, saveCountsMs)

  async function stopApps(): Promise<void> {
    clearInterval(timer)
    await Promise.all([...environments.values()].map((keeper) => keeper.stop()))
    saveCounts()
  }

  async function stop(): Promise<void> {
    stopping ??= stopApps()
    await stopping
    await control.close()
    rmSync(dirname(socket), { recursive: true, force: true })
    lock.release()
  }

  const control = await startControlServer({
    socket,
    environment,
    names: () => store.names().filter((name) => isInUse(store.read(name))),
    log,
    async stop() {
      await (stopping ??= stopApps())
      // Answered first: the caller's own connection is one of those to be closed.
      setImmediate(() => void stopOnce())
    },
  })
  let ended: Promise<void> | undefined
  const stopOnce = (): Promise<void> => (ended ??= stop())
  return { socket, stop: stopOnce }
}

function isInUse({ edge, instances }: EnvironmentRecord): boolean {
  return edge !== undefined || instances.length > 0
}

/** Counts are for people and for a bake, not for deciding what to serve: the last seconds may be lost with a kill. */
function openCounts(file: string) {
  let written = existsSync(file) ? readFileSync(file, 'utf8') : '{}'
  return {
    start: Counts.parse(JSON.parse(written)),
    save(counts: z.infer<typeof Counts>) {
      const text = JSON.stringify(counts)
      if (text !== written) writeFileDurably(file, text)
      written = text
    },
  }
}
