/** `index.json` of an OCI image layout: the images in it, and which tag means which. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { BelayError } from '../../../domain/errors.ts'
import { writeFileDurably } from '../../../process/durable-file.ts'
import { waitForHostLock } from '../../../process/host-lock.ts'
import { removeAbandonedBlobs } from './blobs.ts'
import type { Descriptor } from '../../../registry/registry.ts'
import { mediaTypes } from './image-config.ts'

const tagKey = 'org.opencontainers.image.ref.name'

/** What other tools may have added is kept. */
const Entry = z.looseObject({ digest: z.string(), annotations: z.record(z.string(), z.string()).optional() })
const Index = z.looseObject({ schemaVersion: z.literal(2), manifests: z.array(Entry) })
type Entry = z.infer<typeof Entry>
type Index = z.infer<typeof Index>

export interface AddInput {
  /** Absolute path of the layout. */
  layout: string
  image: Descriptor
  tags: readonly string[]
  signal: AbortSignal
}

/** Adds the image under its tags, atomically; one writer at a time, across processes, kills included. */
export async function addToIndex({ layout, image, tags, signal }: AddInput): Promise<void> {
  const waiting = waitForHostLock(join(layout, '.belay-lock'), `the image layout ${layout}`, signal)
  const lock = await waiting.catch((error: unknown) => {
    signal.throwIfAborted()
    throw error
  })
  try {
    await removeAbandonedBlobs(layout)
    writeFileDurably(join(layout, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}')
    const file = join(layout, 'index.json')
    writeFileDurably(file, JSON.stringify(withImage(await readIndex(file), image, tags)))
  } finally {
    lock.release()
  }
}

/** A tag moves to the new image; an image that loses its last tag stays, by digest. */
export function withImage(index: Index, image: Descriptor, tags: readonly string[]): Index {
  const others = index.manifests.map((entry) => (tags.includes(tagOf(entry) ?? '') ? withoutTag(entry) : entry))
  const tagged: Entry[] = tags.map((tag) => ({ ...image, annotations: { [tagKey]: tag } }))
  const all = [...others, ...(tagged.length === 0 ? [{ ...image }] : tagged)]
  const manifests = all.filter((entry, at) => tagOf(entry) !== undefined || isOnlyMention(all, at))
  return { ...index, manifests }
}

/** An entry without a tag says something only if no other entry names the same image. */
function isOnlyMention(all: readonly Entry[], at: number): boolean {
  const digest = all[at]?.digest
  return !all.some((other, place) => other.digest === digest && (tagOf(other) !== undefined || place < at))
}

function tagOf(entry: Entry): string | undefined {
  return entry.annotations?.[tagKey]
}

function withoutTag(entry: Entry): Entry {
  const { annotations, ...rest } = entry
  const kept = Object.entries(annotations ?? {}).filter(([key]) => key !== tagKey)
  return kept.length === 0 ? rest : { ...rest, annotations: Object.fromEntries(kept) }
}

async function readIndex(file: string): Promise<Index> {
  const text = await readFile(file, 'utf8').catch((error: unknown) => {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw error
  })
  if (text === undefined) return { schemaVersion: 2, mediaType: mediaTypes.index, manifests: [] }
  try {
    return Index.parse(JSON.parse(text))
  } catch (cause) {
    const hint = 'It is written whole or not at all, so something else changed it; move it away to begin a new one.'
    throw new BelayError({ code: 'refused', message: `${file} is no image index`, hint, cause })
  }
}
