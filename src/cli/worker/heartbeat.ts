/** A worker has no port. It says in a file, every few seconds, how it is; `belay health` reads that. */
import { readFile, rename, rm, writeFile } from 'node:fs/promises'
import { setTimeout as pause } from 'node:timers/promises'
import { z } from 'zod'

export const workerRoles = ['control', 'deployer', 'runner'] as const
export type WorkerRole = (typeof workerRoles)[number]

export const Heartbeat = z.object({
  role: z.enum(workerRoles),
  /** When it was written, in ms since 1970. */
  at: z.number(),
  /** What is wrong, in one sentence; absent: nothing. */
  trouble: z.string().optional(),
})
export type Heartbeat = z.infer<typeof Heartbeat>

const everyMs = 5_000
/** Older ones say nothing about now: the process hangs, or is no more. */
export const heartbeatLimitMs = 20_000

export interface HeartbeatOptions {
  file: string
  role: WorkerRole
  /** What is wrong now, in one sentence; undefined: nothing. */
  findTrouble: () => Promise<string | undefined>
}

/** Writes at once and then over and over; `stop` takes the file away. */
export function startHeartbeat({ file, role, findTrouble }: HeartbeatOptions): { stop(): Promise<void> } {
  const stopping = new AbortController()
  const beating = (async () => {
    while (!stopping.signal.aborted) {
      const trouble = await findTrouble()
      await write(file, { role, at: Date.now(), ...(trouble === undefined ? {} : { trouble }) })
      await pause(everyMs, undefined, { signal: stopping.signal }).catch(() => undefined) // Told to stop.
    }
  })()
  return {
    async stop() {
      stopping.abort()
      await beating
      await rm(file, { force: true })
    },
  }
}

/** A file that cannot be written grows old, and so says it. */
async function write(file: string, heartbeat: Heartbeat): Promise<void> {
  const temporary = `${file}.${String(process.pid)}`
  await writeFile(temporary, JSON.stringify(heartbeat), { mode: 0o600 })
    .then(() => rename(temporary, file))
    .catch(() => undefined)
}

/** What is wrong with the worker whose file it is, in one sentence; undefined: nothing. */
export async function judgeHeartbeat(file: string, role: WorkerRole, now = Date.now()): Promise<string | undefined> {
  const text = await readFile(file, 'utf8').catch(() => undefined)
  if (text === undefined) return `it has not begun to say in ${file} how it is`
  const read = Heartbeat.safeParse(parseJson(text))
  if (!read.success) return `${file} is not the file of a worker`
  const { role: found, at, trouble } = read.data
  if (found !== role) return `${file} is the file of a worker ${found}`
  const ageMs = now - at
  if (ageMs > heartbeatLimitMs) return `it has said nothing for ${String(Math.round(ageMs / 1000))} s`
  return trouble
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    // Not JSON is not a heartbeat either.
    return undefined
  }
}
