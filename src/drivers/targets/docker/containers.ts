/** The containers of an environment, as the engine has them. */
import { z } from 'zod'
import { readName } from './container-name.ts'
import { inspectArgs, labels, listArgs } from './docker-args.ts'
import { markedLines, refusal, says, type DockerProgram } from './docker-program.ts'

export interface Container {
  id: string
  name: string
  /** Of the operation that owns it. */
  fence: number
  /** On its way out: it is nobody's, and never serves again. */
  gone: boolean
  environment: string
  digest: string
  slot: number
  port: number
  /** Where the engine publishes that port; undefined: made before this was written down. */
  address: string | undefined
  /** Created, and never started. */
  fresh: boolean
  /** Alive, or about to be started again by the engine. */
  running: boolean
  exitCode: number
  overMemory: boolean
  /** The engine's own words about why it does not run. */
  fault: string
  /** 0: no limit. */
  memoryBytes: number
  /** How often the engine started it again. */
  restarts: number
  createdAt: Date
}

const Inspected = z.object({
  id: z.string(),
  name: z.string(),
  labels: z.object({
    [labels.environment]: z.string(),
    [labels.digest]: z.string(),
    [labels.slot]: z.coerce.number(),
    [labels.port]: z.coerce.number(),
    [labels.address]: z.string().optional(),
  }),
  state: z.string(),
  running: z.boolean(),
  exitCode: z.number(),
  overMemory: z.boolean(),
  fault: z.string(),
  memoryBytes: z.number(),
  restarts: z.number(),
  createdAt: z.coerce.date(),
})

/** By slot. One that is removed meanwhile is left out. */
export async function listContainers(docker: DockerProgram, environment: string): Promise<Container[]> {
  const ids = await docker.ask(listArgs(environment, 'ID'))
  if (ids.length === 0) return []
  const end = await docker.run(inspectArgs(ids))
  if (end.exitCode !== 0 && !says.noContainer(end)) throw refusal('docker container inspect', end)
  return markedLines(end).map(parseContainer).sort((a, b) => a.slot - b.slot) // prettier-ignore
}

function parseContainer(line: string): Container {
  const { labels: found, name, state, ...rest } = Inspected.parse(JSON.parse(line))
  return {
    ...rest,
    ...{ name: name.replace(/^\//, ''), ...readName(name), fresh: state === 'created' },
    environment: found[labels.environment],
    digest: found[labels.digest],
    slot: found[labels.slot],
    port: found[labels.port],
    address: found[labels.address],
  }
}

/**
 * How it ended, the last time it did; undefined: it never has. While it runs the engine only counts: the words are then the same
 * from one death to the next one, so whoever compares them sees each death once.
 */
export function describeEnd({
  running,
  fresh,
  restarts,
  exitCode,
  overMemory,
  fault,
  memoryBytes,
}: Pick<Container, 'running' | 'fresh' | 'restarts' | 'exitCode' | 'overMemory' | 'fault' | 'memoryBytes'>): string | undefined {
  const times = `${String(restarts)} ${restarts === 1 ? 'time' : 'times'}`
  if (running) return restarts === 0 ? undefined : `ended and was started again by the engine, ${times} so far`
  if (fresh) return fault === '' ? 'was never started' : `was never started: ${fault}`
  const before = restarts === 0 ? '' : ` (started again ${times} before)`
  if (overMemory) return `was killed: over its memory limit${memoryBytes === 0 ? '' : ` of ${megabytes(memoryBytes)}`}${before}`
  return `exited with code ${String(exitCode)}${fault === '' ? '' : `: ${fault}`}${before}`
}

function megabytes(bytes: number): string {
  return `${String(Math.round(bytes / 1024 ** 2))} MB`
}
