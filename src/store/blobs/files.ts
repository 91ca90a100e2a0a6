import { createHash, randomUUID } from 'node:crypto'
import type { Hash } from 'node:crypto'
import { createReadStream, mkdirSync } from 'node:fs'
import type { Stats } from 'node:fs'
import { mkdir, open, readdir, rename, rm, stat, utimes } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { BelayError } from '../../domain/errors.ts'
import { Digest } from '../../domain/step.ts'
import { syncDirectory } from '../../process/durable-file.ts'
import type { BlobStore } from '../store.ts'
import { toFileError } from '../sql/store-error.ts'

/** Temporary files older than this were left by a process that died. */
const leftoverAgeMs = 24 * 60 * 60 * 1000
/** A run may have thousands. */
const touchedAtOnce = 50

export interface BlobFile {
  digest: string
  sizeBytes: number
  /** When it was last put, in ms since 1970. */
  putAt: number
}

/** What a clean-up needs besides. */
export interface BlobFiles extends BlobStore {
  /** Directory by directory; what is put meanwhile may be missing. */
  list(): AsyncGenerator<BlobFile[]>
  /** False: it was put again since, or is not there. Safe beside any `put` of the same blob: that one's bytes stay. */
  remove(digest: string, input: { putBefore: number }): Promise<boolean>
}

export interface BlobFilesOptions {
  directory: string
  /** Ms since 1970; default: this machine's clock. */
  now?: (() => number) | undefined
}

/**
 * Blobs as files, `sha256/ab/<the rest>`: written under a temporary name, synced, then named. What is removed leaves by the
 * directory `leaving`, out of which whoever needs it takes it back.
 */
export async function createBlobFiles({ directory, now = Date.now }: BlobFilesOptions): Promise<BlobFiles> {
  const incoming = join(directory, 'incoming')
  const leaving = join(directory, 'leaving')
  for (const made of [incoming, leaving]) mkdirSync(made, { recursive: true, mode: 0o700 })
  await removeLeftovers(incoming)

  /** Undefined: it is not there. A removal under way, or cut short by a kill, is taken back. */
  async function find(digest: string): Promise<Stats | undefined> {
    const file = join(directory, blobPath(digest))
    const found = await statOf(file)
    if (found !== undefined || !(await moved(join(leaving, hexOf(digest)), file))) return found
    return statOf(file)
  }

  /** From here on it is as young as if it had just been written. */
  async function touch(digest: string): Promise<number | undefined> {
    const found = await find(digest)
    if (found === undefined || (await stamp(join(directory, blobPath(digest)), now()))) return found?.size
    // Removed between the two: once more.
    return touch(digest)
  }

  async function put(digest: string, bytes: AsyncIterable<Uint8Array>) {
    const file = join(directory, blobPath(digest))
    const known = await touch(digest)
    if (known !== undefined) {
      // Nothing to write; but a sender who names the wrong digest must hear of it all the same.
      await consume(bytes, digest)
      return { created: false, sizeBytes: known }
    }
    const temporary = join(incoming, randomUUID())
    try {
      const sizeBytes = await writeSynced(temporary, bytes, digest)
      await stamp(temporary, now())
      await name(temporary, file, directory)
      return { created: true, sizeBytes }
    } catch (error) {
      await rm(temporary, { force: true })
      throw toFileError(error, 'a blob')
    }
  }

  return {
    put,
    has: async (digest) => (await find(digest)) !== undefined,
    async touch(digests) {
      const there = new Set<string>()
      for (let at = 0; at < digests.length; at += touchedAtOnce) {
        const some = digests.slice(at, at + touchedAtOnce)
        const sizes = await Promise.all(some.map(touch))
        for (const [index, digest] of some.entries()) if (sizes[index] !== undefined) there.add(digest)
      }
      return there
    },
    async read(digest) {
      if ((await find(digest)) === undefined) throw new BelayError({ code: 'not_found', message: `there is no blob ${digest}` })
      return createReadStream(join(directory, blobPath(digest)))
    },
    async *list() {
      const root = join(directory, 'sha256')
      for (const folder of await namesIn(root)) {
        const digests = (await namesIn(join(root, folder))).map((rest) => `sha256:${folder}${rest}`)
        const files = digests.filter((digest) => Digest.safeParse(digest).success).map(async (digest) => fileOf(digest))
        yield (await Promise.all(files)).filter((file) => file !== undefined)
      }
      // Those that a killed clean-up left half-way out.
      const left = (await namesIn(leaving)).map((hex) => `sha256:${hex}`)
      const files = left.filter((digest) => Digest.safeParse(digest).success).map(async (digest) => fileOf(digest))
      yield (await Promise.all(files)).filter((file) => file !== undefined)
    },
    async remove(digest, { putBefore }) {
      const file = join(directory, blobPath(digest))
      const out = join(leaving, hexOf(digest))
      const found = await find(digest)
      if (found === undefined || found.mtimeMs >= putBefore || !(await moved(file, out))) return false
      // Put again before it left: back it goes.
      if (((await statOf(out))?.mtimeMs ?? putBefore) >= putBefore) {
        await find(digest)
        return false
      }
      return unlinked(out)
    },
  }

  async function fileOf(digest: string): Promise<BlobFile | undefined> {
    const found = await find(digest)
    return found === undefined ? undefined : { digest, sizeBytes: found.size, putAt: found.mtimeMs }
  }
}

async function namesIn(directory: string): Promise<string[]> {
  return (await orUndefined(readdir(directory))) ?? []
}

/** False: there is nothing of that name. */
async function moved(from: string, to: string): Promise<boolean> {
  return (await orUndefined(rename(from, to).then(() => true))) ?? false
}

async function unlinked(file: string): Promise<boolean> {
  return (await orUndefined(rm(file).then(() => true))) ?? false
}

async function stamp(file: string, ms: number): Promise<boolean> {
  return (await orUndefined(utimes(file, ms / 1000, ms / 1000).then(() => true))) ?? false
}

/** Undefined: it is not there, or not any more; another server may write to the same directory. */
async function orUndefined<T>(work: Promise<T>): Promise<T | undefined> {
  try {
    return await work
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw error
  }
}

function hexOf(digest: string): string {
  return digest.slice('sha256:'.length)
}

function blobPath(digest: string): string {
  if (!Digest.safeParse(digest).success) {
    throw new BelayError({ code: 'invalid_input', message: 'a blob is named by its digest: sha256: and 64 hex digits' })
  }
  const hex = digest.slice('sha256:'.length)
  return join('sha256', hex.slice(0, 2), hex.slice(2))
}

function statOf(file: string): Promise<Stats | undefined> {
  return orUndefined(stat(file))
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
