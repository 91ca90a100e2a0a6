/** What this edge must know after any death of the keeper: which process is its own, and who was given each slot. */
import { existsSync, readFileSync } from 'node:fs'
import { z } from 'zod'
import { BelayError } from '../../../domain/errors.ts'
import { writeFileDurably } from '../../../process/durable-file.ts'
import { SavedCounts } from './counts.ts'

const Identity = z.object({ pid: z.number().int(), startTime: z.string(), bootId: z.string() })

const SlotOwner = z.object({
  upstream: z.object({ id: z.string(), digest: z.string(), host: z.string(), port: z.number() }),
  address: z.string(),
  usedAt: z.number().int(),
  /** Instances that had it before and still had requests under way. */
  former: z.array(z.string()),
})
export type SlotOwner = z.infer<typeof SlotOwner>

const EdgeRecord = z.object({
  version: z.literal(1),
  /** Of starts: each has a socket of its own. */
  generation: z.number().int(),
  switches: z.number().int(),
  address: z.object({ host: z.string(), port: z.number() }).optional(),
  running: z.object({ identity: Identity, socket: z.string() }).optional(),
  /** Take no new connection and end by themselves. */
  leaving: z.array(z.object({ identity: Identity, socket: z.string(), ids: z.array(z.string()) })),
  slots: z.partialRecord(z.string(), SlotOwner),
})
export type EdgeRecord = z.infer<typeof EdgeRecord>
export type Leaving = EdgeRecord['leaving'][number]

export interface RecordFile {
  read(): EdgeRecord
  /** Changes a copy, syncs it, and only then shows it. Throws `unavailable`. */
  update(change: (draft: EdgeRecord) => void): void
}

export function openEdgeRecord(directory: string): RecordFile {
  const file = `${directory}/edge.json`
  let record: EdgeRecord = existsSync(file)
    ? parse(file, EdgeRecord)
    : { version: 1, generation: 0, switches: 0, leaving: [], slots: {} }
  return {
    read: () => record,
    update(change) {
      const draft = structuredClone(record)
      change(draft)
      writeOr(file, JSON.stringify(draft))
      record = draft
    },
  }
}

export interface CountsFile {
  /** Undefined if nothing was saved. */
  read(): SavedCounts | undefined
  /** Writes only what has changed. */
  save(counts: SavedCounts): void
}

export function openCountsFile(directory: string): CountsFile {
  const file = `${directory}/counts.json`
  let written: string | undefined
  return {
    read: () => (existsSync(file) ? parse(file, SavedCounts) : undefined),
    save(counts) {
      const text = JSON.stringify(counts)
      if (text !== written) writeOr(file, text)
      written = text
    },
  }
}

function parse<T>(file: string, schema: z.ZodType<T>): T {
  try {
    return schema.parse(JSON.parse(readFileSync(file, 'utf8')))
  } catch (error) {
    throw new BelayError({
      code: 'internal',
      message: `${file} cannot be read`,
      hint: 'It was damaged or written by another version. End the HAProxy that it names, then remove its directory.',
      cause: error,
    })
  }
}

function writeOr(file: string, text: string): void {
  try {
    writeFileDurably(file, text)
  } catch (error) {
    throw new BelayError({ code: 'unavailable', message: `cannot write ${file}`, retryable: true, cause: error })
  }
}
