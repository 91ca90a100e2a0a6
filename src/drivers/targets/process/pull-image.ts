/** Brings an image of a registry into a layout on this disk: what the runner of another machine built is deployed here. */
import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, open, rename, rm } from 'node:fs/promises'
import { BelayError } from '../../../domain/errors.ts'
import { syncDirectory } from '../../../process/durable-file.ts'
import { waitForHostLock } from '../../../process/host-lock.ts'
import type { RegistryClient } from '../../../registry/registry.ts'
import { blobPath, parseManifest } from './image-layout.ts'

export interface PullInput {
  /** Asked for only if the image is not here yet. */
  connect(): RegistryClient
  /** In the registry. */
  name: string
  digest: string
  layout: string
  /** How long the layout's lock is waited for. */
  signal: AbortSignal
}

/**
 * The manifest comes last, so that what has its manifest here is whole: then nothing is asked. Two at once, or killed in the middle: each
 * blob is whole under its name or not there. Throws `not_found` (the registry has no such image) and what a
 * `RegistryClient` throws; `conflict` if somebody else has the layout for longer than the signal allows.
 */
export async function ensurePulled({ connect, name, digest, layout, signal }: PullInput): Promise<void> {
  if (existsSync(blobPath(layout, digest))) return
  const client = connect()
  const found = await client.findManifest(name, digest)
  if (found === undefined) {
    const hint = 'Was it removed there? Build it again.'
    throw new BelayError({ code: 'not_found', message: `the registry has no image ${name}@${digest}`, hint })
  }
  const { config, layers } = parseManifest(found.bytes)
  const missing = () => [config, ...layers].filter((blob) => !existsSync(blobPath(layout, blob.digest)))
  do {
    for (const blob of missing()) await keep(layout, blob.digest, await client.readBlob(name, blob.digest))
    // A clean-up may have taken what was here and, without its manifest, of no use: then that is fetched, too.
  } while (!(await finish({ layout, signal }, { digest, bytes: found.bytes, isWhole: () => missing().length === 0 })))
}

/** Under the lock of the layout, which a clean-up holds: with its manifest here, an image is whole and young. */
async function finish(
  { layout, signal }: Pick<PullInput, 'layout' | 'signal'>,
  manifest: { digest: string; bytes: Uint8Array; isWhole(): boolean },
): Promise<boolean> {
  const lock = await waitForHostLock(`${layout}/.belay-lock`, `the image layout ${layout}`, signal)
  try {
    if (!manifest.isWhole()) return false
    await keep(layout, manifest.digest, oneChunk(manifest.bytes))
    return true
  } finally {
    lock.release()
  }
}

/** Streamed to a file of its own and synced; it gets its name only once its reader has found nothing wrong with it. */
async function keep(layout: string, digest: string, bytes: AsyncIterable<Uint8Array>): Promise<void> {
  const place = blobPath(layout, digest)
  const directory = `${layout}/blobs/sha256`
  await mkdir(directory, { recursive: true, mode: 0o700 })
  const temporary = `${directory}/.pull-${randomBytes(8).toString('hex')}`
  try {
    const file = await open(temporary, 'wx', 0o600)
    try {
      for await (const chunk of bytes) await file.appendFile(chunk)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(temporary, place)
    syncDirectory(directory)
  } finally {
    await rm(temporary, { force: true })
  }
}

async function* oneChunk(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield await Promise.resolve(bytes)
}
