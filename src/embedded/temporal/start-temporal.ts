import { closeSync, openSync, readFileSync } from 'node:fs'
import { BelayError } from '../../domain/errors.ts'
import type { ProcessIdentity } from '../../process/identity.ts'
import { spawnProcess, type Exit } from '../../process/spawn.ts'
import { temporalServerArgs } from './server-args.ts'
import { prepareTemporalDirectory, temporalDatabase } from './temporal-directory.ts'
import { waitForTemporal } from './temporal-ready.ts'

export interface TemporalOptions {
  /** The program, from `findTemporal`. */
  program: string
  /** Its database and its record. */
  directory: string
  /** File that takes its output; appended to. */
  log: string
  /** As `prepareTemporalDirectory` said, which is asked if it is absent. A server that is restarted must keep its port. */
  port?: number
  /** Until it answers; default 60 s. */
  timeoutMs?: number
  /** Gives up the start. */
  signal?: AbortSignal
  /** Called as soon as there is a process, long before it answers. */
  started?: (identity: ProcessIdentity) => void
}

export interface TemporalServer {
  /** `127.0.0.1:<port>` */
  address: string
  namespace: 'default'
  identity: ProcessIdentity
  /** Resolves when the server's process has ended. */
  done: Promise<Exit>
  /** Ends it: in SQLite nothing needs a farewell, so the grace is short. Twice: nothing to do. */
  stop(graceMs?: number): Promise<void>
}

/**
 * Starts the development server on loopback and resolves when its namespace answers. It dies with this process where
 * the system can see to that. Throws `unavailable` with the log's tail if it does not come up, `mismatch` on a database
 * of another version.
 */
export async function startTemporal(options: TemporalOptions): Promise<TemporalServer> {
  const port = options.port ?? (await prepareTemporalDirectory(options.directory)).port
  const address = `127.0.0.1:${String(port)}`
  const args = temporalServerArgs({ port, database: temporalDatabase(options.directory) })
  const output = openSync(options.log, 'a', 0o600)
  const spawned = await spawnProcess({
    file: options.program,
    args,
    tied: true,
    cwd: options.directory,
    // HOME is its own directory: the program must not read a configuration that somebody left in ours.
    env: { PATH: process.env['PATH'] ?? '/usr/bin:/bin', HOME: options.directory, TZ: 'UTC' },
    output,
  }).finally(() => {
    closeSync(output)
  })
  options.started?.(spawned.identity)
  const died = new AbortController()
  void spawned.done.then(() => {
    died.abort()
  })
  const signal = options.signal === undefined ? died.signal : AbortSignal.any([died.signal, options.signal])
  try {
    await waitForTemporal({ address, namespace: 'default', timeoutMs: options.timeoutMs ?? 60_000, signal })
  } catch (error) {
    await spawned.stop(500)
    throw new BelayError({
      code: 'unavailable',
      message: `the Temporal server did not come up at ${address}`,
      hint: `Its log ${options.log} ends: ${tailOf(options.log)}`,
      retryable: true,
      cause: error,
    })
  }
  return {
    address,
    namespace: 'default',
    identity: spawned.identity,
    done: spawned.done,
    stop: (graceMs = 2000) => spawned.stop(graceMs),
  }
}

function tailOf(file: string): string {
  return readFileSync(file, 'utf8').slice(-800).trim() || '(empty)'
}
