import { existsSync, readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import type { Config } from '../../config/config.ts'
import { loadConfig } from '../../config/load-config.ts'
import { placesOf, type Places } from '../../config/places.ts'
import { formatAddress } from '../../config/scalars.ts'
import { adminTokenFile } from '../../config/token-files.ts'
import { stopLeftovers } from '../../embedded/supervisor/part-files.ts'
import { supervise, type Supervisor } from '../../embedded/supervisor/supervise.ts'
import { refuseLimits } from '../../process/cgroup.ts'
import { findCgroups } from '../../process/find-cgroups.ts'
import type { Io } from '../io.ts'
import { takeDataDirectory } from './data-directory.ts'
import { takeListen } from './listen.ts'
import { resolveTemporal } from './resolve-temporal.ts'
import { findStepUser } from './step-user.ts'
import { removeUpState, writeUpState } from './up-file.ts'
import { serverUrlOf, stepLimitsOf, upParts } from './up-parts.ts'
import { createUpPrinter, type UpPrinter } from './up-printer.ts'

export interface UpFlags {
  config?: string
  data?: string
  listen?: string
  json?: true
  quiet?: true
}

/** Everything has stopped within this time, or is killed. */
const stopWithinMs = 14_000

/** `belay up`: everything on one machine, kept alive until the user asks it to stop. Throws before anything runs, or once all has stopped. */
export async function serveUp(flags: UpFlags, io: Io): Promise<void> {
  const { env } = io
  const printer = createUpPrinter({
    json: flags.json === true,
    quiet: flags.quiet === true,
    colour: io.terminal,
    write(line) {
      io.out(`${line}\n`)
    },
  })
  const loaded = await loadConfig({ file: flags.config, data: flags.data, env, cwd: io.cwd })
  const config = await takeListen(loaded.config, flags.listen)
  refuseLimits(findCgroups(), stepLimitsOf(config))
  const user = findStepUser()
  const places = placesOf(config.data, { work: findWorkDirectory(env), root: user !== undefined })
  const lock = takeDataDirectory(places, { root: user !== undefined })
  try {
    for (const assumption of loaded.assumptions) printer.note(`assumed: ${assumption}`)
    await serve({ config, places, printer, env, ...(user === undefined ? {} : { user }) })
  } finally {
    lock.release()
  }
}

interface ServeOptions {
  config: Config
  places: Places
  printer: UpPrinter
  env: NodeJS.ProcessEnv
  user?: { uid: number; gid: number }
}

async function serve({ config, places, printer, env, user }: ServeOptions): Promise<void> {
  const asked = listenForStop(printer)
  const left = await stopLeftovers(places.partLogs, { except: ['keeper'], graceMs: 3000 })
  if (left.length > 0) printer.note(`stopped what an earlier up had left running: ${left.join(', ')}`)
  const resolved = await resolveTemporal({ config, places, env, say: (line) => printer.note(line) })
  const edges = Object.values(config.environments).map(({ name, edge }) => [name, `http://${formatAddress(edge)}`] as const)
  const firstTime = !existsSync(adminTokenFile(places))
  let supervisor: Supervisor | undefined
  const record = () => {
    if (supervisor === undefined || asked.signal.aborted) return
    const { address } = resolved.temporal
    writeUpState(places.data, {
      url: serverUrlOf(config),
      pid: process.pid,
      parts: supervisor.pids(),
      temporal: address,
      edges: Object.fromEntries(edges),
    })
  }
  if (resolved.embedded === undefined) printer.note(`temporal  at ${resolved.temporal.address}, not started by us`)
  try {
    supervisor = await supervise({
      parts: upParts({ config, places, ...resolved, env, ...(user === undefined ? {} : { user }) }),
      signal: asked.signal,
      tell(news) {
        printer.part(news)
        record()
      },
    })
  } catch (error) {
    // Asked to stop while still starting: everything has stopped, as asked.
    if (asked.signal.aborted) return
    throw error
  }
  asked.killWith(supervisor)
  record()
  printer.note(
    'isolation: process. Steps run as processes of this machine: only for repositories whose committers may deploy anyway.',
  )
  for (const [name, url] of edges) printer.result('edge', url, `environment ${name} at`)
  printer.result('url', config.publicUrl, 'Belay is up at')
  if (firstTime && existsSync(adminTokenFile(places))) {
    printer.result(
      'token',
      readFileSync(adminTokenFile(places), 'utf8'),
      `admin token, shown once (the CLI here reads it from ${adminTokenFile(places)}):`,
    )
  }
  await asked.done
  removeUpState(places.data)
  await stopInTime(supervisor, printer)
}

/** Resolves `done` at the first request to stop; the second one kills at once. */
function listenForStop(printer: UpPrinter): {
  signal: AbortSignal
  done: Promise<void>
  killWith: (supervisor: Supervisor) => void
} {
  const controller = new AbortController()
  let victim: Supervisor | undefined
  const done = new Promise<void>((resolveDone) => {
    const ask = () => {
      if (controller.signal.aborted) {
        victim?.kill()
        process.exit(130)
      }
      printer.note('stopping; once more to stop at once')
      controller.abort()
      resolveDone()
    }
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, ask)
  })
  return { signal: controller.signal, done, killWith: (supervisor) => void (victim = supervisor) }
}

async function stopInTime(supervisor: Supervisor, printer: UpPrinter): Promise<void> {
  const timer = setTimeout(() => {
    printer.note(`not everything stopped within ${String(stopWithinMs / 1000)} s: killing the rest`)
    supervisor.kill()
  }, stopWithinMs)
  await supervisor.stop()
  clearTimeout(timer)
}

function findWorkDirectory(env: NodeJS.ProcessEnv): string | undefined {
  const work = env['BELAY_WORK_DIR']
  return work ? resolve(work) : undefined
}
