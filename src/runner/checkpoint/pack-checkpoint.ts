/** A workspace as one file: a compressed tar, named by the digest of its bytes. */
import { createHash } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { lstat, readdir, readlink } from 'node:fs/promises'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { createGzip } from 'node:zlib'
import { pack, type Header, type Pack } from 'tar-stream'
import { BelayError } from '../../domain/errors.ts'
import { openInside } from '../../process/open-inside.ts'
import { walkTree, type TreeEntry } from '../../process/walk-tree.ts'
import { throwIfStopped } from '../workspace/stopped.ts'
import type { WorkspaceDirs } from '../workspace/workspaces.ts'
import { checkTarget, refused } from './inside.ts'
import { checkpointParts, fetchedAgain, type CheckpointLimits } from './limits.ts'

export interface PackInput {
  dirs: Pick<WorkspaceDirs, (typeof checkpointParts)[number]>
  /** Absolute path of the archive; nobody else's. */
  file: string
  limits: CheckpointLimits
  signal: AbortSignal
}

type Entry = Partial<Header> & Pick<Header, 'name'>

export interface Packed {
  digest: string
  sizeBytes: number
  entries: number
}

/** Nothing may write to the workspace meanwhile. Throws `too_large`, `refused` (a device, a link that leads out, a change). */
export async function packCheckpoint(input: PackInput): Promise<Packed> {
  const archive = pack()
  const hash = createHash('sha256')
  const counted = { sizeBytes: 0, entries: 0 }
  const count = async function* (chunks: AsyncIterable<Buffer>) {
    for await (const chunk of chunks) {
      hash.update(chunk)
      counted.sizeBytes += chunk.length
      yield chunk
    }
  }
  const written = pipeline(archive, createGzip({ level: 1 }), count, createWriteStream(input.file, { flags: 'wx', mode: 0o600 }))
  // Its failure is thrown below; until then it must not count as unhandled.
  written.catch(() => undefined)
  try {
    counted.entries = await addAll(archive, input)
    archive.finalize()
  } catch (error) {
    archive.destroy(error instanceof Error ? error : undefined)
    await written.catch(() => undefined)
    throw error
  }
  await written
  return { ...counted, digest: `sha256:${hash.digest('hex')}` }
}

async function addAll(archive: Pack, { dirs, limits, signal }: PackInput): Promise<number> {
  let left = limits.bytes
  let entries = 0
  for (const part of checkpointParts) {
    for await (const entry of walkPart(dirs[part], part)) {
      throwIfStopped(signal)
      const size = await add(archive, { root: dirs[part], part, entry, left })
      if (size === undefined) continue
      left -= size
      entries += 1
      if (left < 0 || entries > limits.entries) throw tooLarge(limits)
    }
  }
  return entries
}

async function* walkPart(root: string, part: string): AsyncGenerator<TreeEntry> {
  for (const entry of await readdir(root, { withFileTypes: true })) {
    if (`${part}/${entry.name}` === fetchedAgain) continue
    const type = entry.isDirectory() ? 'directory' : entry.isSymbolicLink() ? 'symlink' : entry.isFile() ? 'file' : 'other'
    yield { path: entry.name, type }
    if (type === 'directory') yield* walkTree(root, entry.name)
  }
}

interface Adding {
  root: string
  part: string
  entry: TreeEntry
  /** Bytes that are still allowed. */
  left: number
}

/** Its bytes; undefined for what is left out. */
async function add(archive: Pack, { root, part, entry, left }: Adding): Promise<number | undefined> {
  const place = join(root, entry.path)
  const name = `${part}/${entry.path}`
  const found = await lstat(place)
  const header = { name, mode: found.mode & 0o777, mtime: found.mtime }
  switch (entry.type) {
    case 'directory':
      await write(archive, { ...header, type: 'directory' })
      return 0
    case 'symlink':
      await write(archive, { ...header, type: 'symlink', linkname: checkTarget(name, await readlink(place)) })
      return 0
    case 'file':
      // Said before it is read: a sparse file is quickly made.
      return found.size > left ? found.size : await addFile(archive, { root, path: entry.path, header })
    default:
      // Of a process that is gone: nothing that could be kept.
      if (found.isSocket() || found.isFIFO()) return undefined
      throw refused(name, 'it is a device')
  }
}

async function addFile(archive: Pack, { root, path, header }: { root: string; path: string; header: Entry }): Promise<number> {
  const file = await openInside(root, path)
  try {
    const { size } = await file.stat()
    const sink = archive.entry({ ...header, type: 'file', size })
    await pipeline(size === 0 ? [] : file.createReadStream({ autoClose: false, end: size - 1 }), sink)
    return size
  } catch (error) {
    throw error instanceof BelayError ? error : refused(header.name, 'it changed while it was read', error)
  } finally {
    await file.close()
  }
}

function write(archive: Pack, header: Entry): Promise<void> {
  return new Promise((resolve, reject) => {
    archive.entry(header, (error) => (error ? reject(error) : resolve()))
  })
}

function tooLarge(limits: CheckpointLimits): BelayError {
  return new BelayError({
    code: 'too_large',
    message: `the workspace has more than ${String(limits.bytes / 1024 ** 2)} MiB or ${String(limits.entries)} files, the most that a checkpoint holds`,
    hint: 'Remove what later steps do not need before the step ends, or take the checkpoint earlier.',
  })
}
