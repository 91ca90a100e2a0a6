import { createHash, randomUUID } from 'node:crypto'
import type { Hash } from 'node:crypto'
import { createReadStream, mkdirSync } from 'node:fs'
import type { Stats } from 'node:fs'
import { mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { BelayError } from '../../domain/errors.ts'
import { Digest } from '../../domain/step.ts'
import { syncDirectory } from '../../process/durable-file.ts'
import type { BlobStore } from '../store.ts'
import { toFileError } from '../sql/store-error.ts'

/** Temporary files older than this were left by a process that died. */
const leftoverAgeMs = 24 * 60 * 60 * 1000

/** Blobs as files, `sha256/ab/<the rest>`: written under a temporary name, synced, then named. */
export async function createBlobFiles(directory: string): Promise<BlobStore> {
  const incoming = join(directory, 'incoming')
  mkdirSync(incoming, { recursive: true, mode: 0o700 })
  await removeLeftovers(incoming)

  async function put(digest: string, bytes: AsyncIterable<Uint8Array>) {
    const file = join(directory, blobPath(digest))
    const known = await sizeOf(file)
    if (known !== undefined) {
      // Nothing to write; but a sender who names the wrong digest must hear of it all the same.
      await consume(bytes, digest)
      return { created: false, sizeBytes: known }
    }
    const temporary = join(incoming, randomUUID())
    try {
      const sizeBytes = await writeSynced(temporary, bytes, digest)
      await name(temporary, file, directory)
      return { created: true, sizeBytes }
    } catch (error) {
      await rm(temporary, { force: true })
      throw toFileError(error, 'a blob')
    }
  }

  return {
    put,
    has: async (digest) => (await sizeOf(join(directory, blobPath(digest)))) !== undefined,
    async read(digest) {
      const file = join(directory, blobPath(digest))
      if ((await sizeOf(file)) === undefined) throw new BelayError({ code: 'not_found', message: `there is no blob ${digest}` })
      return createReadStream(file)
    },
  }
}

function blobPath(digest: string): string {
  if (!Digest.safeParse(digest).success) {
    throw new BelayError({ code: 'invalid_input', message: 'a blob is named by its digest: sha256: and 64 hex digits' })
  }
  const hex = digest.slice('sha256:'.length)
  return join('sha256', hex.slice(0, 2), hex.slice(2))
}

async function sizeOf(file: string): Promise<number | undefined> {
  return (await statOf(file))?.size
}

/** Undefined: it is not there, or not any more; another server may write to the same directory. */
async function statOf(file: string): Promise<Stats | undefined> {
  try {
    return await stat(file)
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw error
  }
}

async function writeSynced(file: string, bytes: AsyncIterable<Uint8Array>, digest: string): Promise<number> {
  const handle = await open(file, 'wx', 0o600)
  try {
    const sizeBytes = await consume(bytes, digest, handle)
    await handle.sync()
    return sizeBytes
  } finally {
    await handle.close()
  }
}

/** Reads to the end, writing on the way if there is somewhere to write, and checks the digest. */
async function consume(bytes: AsyncIterable<Uint8Array>, digest: string, handle?: FileHandle): Promise<number> {
  const hash = createHash('sha256')
  let sizeBytes = 0
  for await (const chunk of bytes) {
    hash.update(chunk)
    sizeBytes += chunk.length
    await handle?.appendFile(chunk)
  }
  checkDigest(hash, digest)
  return sizeBytes
}

function checkDigest(hash: Hash, digest: string): void {
  const actual = `sha256:${hash.digest('hex')}`
  if (actual === digest) return
  throw new BelayError({ code: 'mismatch', message: `the bytes have the digest ${actual}, not ${digest}` })
}

async function name(temporary: string, file: string, root: string): Promise<void> {
  const folder = dirname(file)
  await mkdir(folder, { recursive: true, mode: 0o700 })
  await rename(temporary, file)
  for (const directory of [folder, dirname(folder), root]) syncDirectory(directory)
}

async function removeLeftovers(incoming: string): Promise<void> {
  for (const entry of await readdir(incoming)) {
    const file = join(incoming, entry)
    const found = await statOf(file)
    if (found !== undefined && Date.now() - found.mtimeMs > leftoverAgeMs) await rm(file, { force: true })
  }
}
