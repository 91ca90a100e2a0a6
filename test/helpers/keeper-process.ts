/** The keeper as a process of its own, from the compiled code: to be killed. And what it would leave behind. */
import { spawn } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { z } from 'zod'
import { isKeeperUp, stopKeeper } from '../../src/embedded/keeper/keeper-presence.ts'
import { keeperSocket } from '../../src/embedded/keeper/keeper-socket.ts'
import { findIdentity, findTagged, isAlive, type ProcessIdentity } from '../../src/process/identity.ts'
import { stopGroup } from '../../src/process/spawn.ts'
import { until } from './until.ts'

export interface KeeperProcess {
  socket: string
  pid: number
  /** SIGKILL; resolves when the process has gone. */
  kill(): Promise<void>
}

const entry = new URL(
  import.meta.url.includes('/dist/') ? '../../workers/keeper.js' : '../../dist/workers/keeper.js',
  import.meta.url,
)

export async function startKeeperProcess(options: { directory: string; apps: string }): Promise<KeeperProcess> {
  if (!existsSync(fileURLToPath(entry))) throw new Error('dist/workers/keeper.js is not there: npm run build')
  const program = `import(${JSON.stringify(entry.href)}).then((keeper) => keeper.start(JSON.parse(process.argv[1])))`
  const child = spawn(process.execPath, ['-e', program, JSON.stringify(options)], { stdio: ['ignore', 'ignore', 'inherit'] })
  const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  const socket = keeperSocket(options.directory)
  await until('the keeper answers', () => isKeeperUp(socket), 20_000)
  return {
    socket,
    pid: child.pid ?? 0,
    async kill() {
      child.kill('SIGKILL')
      await gone
    },
  }
}

const State = z.object({
  environments: z.record(
    z.string(),
    z.object({
      instances: z.array(
        z.object({
          digest: z.string(),
          identity: z.object({ pid: z.number(), startTime: z.string(), bootId: z.string() }).optional(),
        }),
      ),
    }),
  ),
})

/** The application processes that the keeper of this directory has written down and that are alive. */
export function livingApps(directory: string): ProcessIdentity[] {
  const file = `${directory}/state.json`
  if (!existsSync(file)) return []
  const { environments } = State.parse(JSON.parse(readFileSync(file, 'utf8')))
  const all = Object.values(environments).flatMap(({ instances }) => instances.flatMap(({ identity }) => identity ?? []))
  return all.filter(isAlive)
}

/** The processes of its edges that are alive: those of the driver `haproxy`. */
export function livingEdges(directory: string): ProcessIdentity[] {
  const edges = `${directory}/edges`
  if (!existsSync(edges)) return []
  const places = readdirSync(edges).map((environment) => `${edges}/${environment}/haproxy`)
  return places.flatMap((place) => findTagged('BELAY_EDGE', place)).flatMap((pid) => findIdentity(pid) ?? [])
}

/** Ends the keeper of this directory, if there is one, and every application and edge it has left. */
export async function endKeeper(directory: string): Promise<void> {
  await stopKeeper(keeperSocket(directory))
  const left = [...livingApps(directory), ...livingEdges(directory)]
  await Promise.all(left.map((identity) => stopGroup(identity, 0)))
  rmSync(dirname(keeperSocket(directory)), { recursive: true, force: true })
}
