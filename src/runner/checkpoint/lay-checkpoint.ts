/** Lays a checkpoint into a fresh workspace, and nothing outside it: its bytes come from steps, by way of another runner. */
import { createHash } from 'node:crypto'
import { constants, createReadStream, createWriteStream } from 'node:fs'
import { chmod, lstat, mkdir, open, readdir, rm, symlink } from 'node:fs/promises'
import { join, posix } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { createGunzip } from 'node:zlib'
import { extract, type Extract } from 'tar-stream'
import { BelayError } from '../../domain/errors.ts'
import { faultPoint } from '../../process/fault-point.ts'
import { throwIfStopped } from '../workspace/stopped.ts'
import { checkInside, checkTarget, refused } from './inside.ts'
import { checkpointLimits, fetchedAgain, type CheckpointLimits } from './limits.ts'

type Entry = Extract extends AsyncIterable<infer E> ? E : never

export interface LayCheckpointInput {
  /** Absolute path of the run's directory: ours alone, with the commit checked out in `checkout`. */
  root: string
  digest: string
  bytes: AsyncIterable<Uint8Array>
  signal: AbortSignal
  limits?: CheckpointLimits
}

/**
 * What the commit laid into the checkout is replaced, but for its repository. Throws `mismatch` (other bytes than the digest says),
 * `refused` (an entry that leads out, a device, no archive), `too_large`; what is there by then is half of it.
 */
export async function layCheckpoint({
  root,
  digest,
  bytes,
  signal,
  limits = checkpointLimits,
}: LayCheckpointInput): Promise<void> {
  const file = join(root, 'checkpoint.tar.gz')
  try {
    await rm(file, { force: true })
    await fetchChecked({ file, digest, bytes, signal })
    await emptyCheckout(root)
    faultPoint('checkpoint.lay')
    await layAll(file, { root, signal, left: { ...limits } })
    faultPoint('checkpoint.laid')
  } finally {
    await rm(file, { force: true })
  }
}

interface Fetch {
  file: string
  digest: string
  bytes: AsyncIterable<Uint8Array>
  signal: AbortSignal
}

/** All of it, before the first entry is believed. */
async function fetchChecked({ file, digest, bytes, signal }: Fetch): Promise<void> {
  const hash = createHash('sha256')
  const hashed = async function* () {
    for await (const chunk of bytes) {
      throwIfStopped(signal)
      hash.update(chunk)
      yield chunk
    }
  }
  await pipeline(hashed, createWriteStream(file, { flags: 'wx', mode: 0o600 }))
  const found = `sha256:${hash.digest('hex')}`
  if (found !== digest) throw new BelayError({ code: 'mismatch', message: `the checkpoint came as ${found}, not as ${digest}` })
}

async function emptyCheckout(root: string): Promise<void> {
  for (const name of await readdir(join(root, 'checkout'))) {
    if (`checkout/${name}` !== fetchedAgain) await rm(join(root, 'checkout', name), { recursive: true, force: true })
  }
}

interface Laying {
  root: string
  signal: AbortSignal
  /** Counted down. */
  left: { bytes: number; entries: number }
}

async function layAll(file: string, laying: Laying): Promise<void> {
  const entries = extract()
  const fed = pipeline(createReadStream(file), createGunzip(), entries)
  // Its failure is thrown below; until then it must not count as unhandled.
  fed.catch(() => undefined)
  /** Set at the end: what is read-only could not be filled. */
  const modes: [string, number][] = []
  try {
    for await (const entry of entries) {
      throwIfStopped(laying.signal)
      laying.left.entries -= 1
      if (laying.left.entries < 0) throw tooLarge()
      await layEntry(entry, laying, modes)
      entry.resume()
    }
    await fed
  } catch (error) {
    if (error instanceof BelayError) throw error
    throw isOfDisk(error) ? error : refused('?', 'it cannot be read as an archive', error)
  }
  for (const [place, mode] of modes.toReversed()) await chmod(place, mode)
}

async function layEntry(entry: Entry, laying: Laying, modes: [string, number][]): Promise<void> {
  const { name, type, linkname, mode, mtime } = entry.header
  const path = checkInside(name)
  const place = join(laying.root, path)
  await ensureRealDirectory(laying.root, posix.dirname(path))
  switch (type) {
    case 'directory':
      await ensureRealDirectory(laying.root, path)
      modes.push([place, (mode & 0o777) | 0o700])
      return
    case 'file':
    case 'contiguous-file':
      return await layFile(entry, place, { laying, mode: mode & 0o777, mtime })
    case 'symlink':
      return await symlink(checkTarget(path, linkname ?? ''), place)
    default:
      throw refused(name, `entries of type ${type} are not taken`)
  }
}

interface FileOf {
  laying: Laying
  mode: number
  mtime: Date | undefined
}

/** Never through a link, never onto something that is there. */
async function layFile(entry: Entry, place: string, { laying, mode, mtime }: FileOf): Promise<void> {
  const file = await open(place, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW, 0o600)
  try {
    for await (const chunk of entry as AsyncIterable<Buffer>) {
      laying.left.bytes -= chunk.length
      if (laying.left.bytes < 0) throw tooLarge()
      await file.writeFile(chunk)
    }
    await file.chmod(mode)
    // Builds go by it.
    if (mtime !== undefined) await file.utimes(mtime, mtime)
  } finally {
    await file.close()
  }
}

/** Makes the directories of a path one by one; a link on the way, made by an earlier entry, is refused. */
async function ensureRealDirectory(root: string, path: string): Promise<void> {
  let place = root
  for (const part of path.split('/')) {
    place = join(place, part)
    const found = await lstat(place).catch(() => undefined)
    if (found?.isDirectory() === true) continue
    if (found !== undefined) throw refused(path, `${part} on its way is not a directory`)
    await mkdir(place, { mode: 0o700 })
  }
}

function isOfDisk(error: unknown): boolean {
  const code: unknown = error instanceof Error && 'code' in error ? error.code : undefined
  return typeof code === 'string' && !code.startsWith('Z_') && !code.startsWith('ERR_')
}

function tooLarge(): BelayError {
  return new BelayError({ code: 'too_large', message: 'the checkpoint holds more than one may' })
}
