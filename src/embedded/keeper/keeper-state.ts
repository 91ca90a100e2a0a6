/** What the keeper knows and must not forget: one file, replaced as a whole and synced before anything is done. */
import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import { z } from 'zod'
import { BelayError } from '../../domain/errors.ts'
import { writeFileDurably } from '../../process/durable-file.ts'
import { Upstream, type EdgeRequest } from './keeper-api.ts'
import { edgeNames } from '../../drivers/edges/index.ts'

export const InstanceRecord = z.object({
  /** Also the value of BELAY_INSTANCE in its environment. */
  id: z.string(),
  digest: z.string(),
  directory: z.string(),
  workingDirectory: z.string(),
  command: z.array(z.string()).min(1),
  user: z.object({ uid: z.number(), gid: z.number() }).optional(),
  port: z.number().int(),
  /** Absent while a start is under way: whoever carries its tag is then it. */
  identity: z.object({ pid: z.number().int(), startTime: z.string(), bootId: z.string() }).optional(),
  startedAt: z.number(),
  log: z.string(),
  /** Traffic went to it: it is started again whenever it dies. */
  activated: z.boolean(),
  /** It is being stopped, or was to be when the keeper died. */
  stopping: z.boolean(),
  /** The keeper stopped it together with itself: the next keeper starts it again. */
  parked: z.boolean(),
  restarts: z.number().int(),
  exit: z.string().optional(),
})
export type InstanceRecord = z.infer<typeof InstanceRecord>

const EdgeRecord: z.ZodType<EdgeRequest> = z.object({
  driver: z.enum(edgeNames).default('embedded'),
  host: z.string(),
  port: z.number().int(),
})

export const EnvironmentRecord = z.object({
  /** Checked when it was asked for, and perhaps by an older version. */
  edge: EdgeRecord.optional(),
  /** The highest fencing number seen. */
  fence: z.number().int(),
  /** Operations that were carried out, oldest first. */
  answered: z.array(z.object({ fence: z.number(), operationId: z.string(), answer: z.unknown() })),
  instances: z.array(InstanceRecord),
  /** Digest of the release that traffic goes to. */
  active: z.string().optional(),
  /** Where that release runs, if its instances are not ours. */
  upstreams: z.array(Upstream).default([]),
})
export type EnvironmentRecord = z.infer<typeof EnvironmentRecord>

const KeeperState = z.object({ version: z.literal(1), environments: z.record(z.string(), EnvironmentRecord) })

export interface StateStore {
  names(): string[]
  /** The record as it is now; an empty one if nothing was heard of that environment. Not to be changed in place. */
  read(name: string): EnvironmentRecord
  /** Changes a copy, writes it, and only then shows it: what `read` returns is on disk. */
  update<T>(name: string, change: (draft: EnvironmentRecord) => T): T
}

export function openStateStore(directory: string): StateStore {
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  const file = `${directory}/state.json`
  let state = existsSync(file) ? parse(file) : { version: 1 as const, environments: {} }

  function read(name: string): EnvironmentRecord {
    return state.environments[name] ?? { fence: 0, answered: [], instances: [], upstreams: [] }
  }

  return {
    names: () => Object.keys(state.environments),
    read,
    update(name, change) {
      const draft = structuredClone(read(name))
      const result = change(draft)
      const next = { ...state, environments: { ...state.environments, [name]: draft } }
      try {
        writeFileDurably(file, JSON.stringify(next))
      } catch (error) {
        throw new BelayError({ code: 'unavailable', message: `cannot write ${file}`, retryable: true, cause: error })
      }
      state = next
      return result
    },
  }
}

function parse(file: string): z.infer<typeof KeeperState> {
  try {
    return KeeperState.parse(JSON.parse(readFileSync(file, 'utf8')))
  } catch (error) {
    throw new BelayError({
      code: 'internal',
      message: `${file} cannot be read`,
      hint: 'It was damaged or written by another version. Stop the applications it names, then move it away.',
      cause: error,
    })
  }
}
