/** Copying a directory that somebody else may be changing: nothing of what lies outside it gets into the copy. */
import { constants, type Stats } from 'node:fs'
import { chmod, lstat, lutimes, mkdir, open, readdir, readlink, symlink, utimes, type FileHandle } from 'node:fs/promises'
import { BelayError } from '../domain/errors.ts'
import { codeOf, explainFault, refused } from './copy-fault.ts'
import { openInside, type OpenDirectory } from './open-inside.ts'

export interface CopyTreeInput {
  /** Opened by `openDirectoryInside`; the caller closes it. */
  from: OpenDirectory
  /** Absolute path that is not there yet, in a directory where only we write. */
  to: string
  /** Called with what is left out and why: devices, pipes, sockets, and what went away meanwhile. Paths relative to `from`. */
  skipped(path: string, why: string): void
  signal: AbortSignal
}

export interface CopiedTree {
  files: number
  bytes: number
}

/**
 * Regular files with mode and time of change, directories, symlinks as links: none is followed, and each part is opened
 * below the descriptor of its directory, so a directory that is swapped for a link in between gains nothing. (Without
 * /proc, on other systems than Linux, by path.) Holds one chunk of content at a time; a file that grows is cut where it ended
 * when it was opened. Owners and hard links are not kept. Throws `refused` (unreadable, too deep, swapped meanwhile),
 * `unavailable` (no room), the signal's reason.
 */
export async function copyTree({ from, to, skipped, signal }: CopyTreeInput): Promise<CopiedTree> {
  const copy: Copy = { skipped, signal, chunk: Buffer.allocUnsafe(chunkBytes), files: 0, bytes: 0 }
  await copyDirectory(copy, { handle: from.handle, path: Buffer.from(from.path), to: Buffer.from(to), shown: '', depth: 0 })
  return { files: copy.files, bytes: copy.bytes }
}

export interface CopyFileInput {
  /** As in `openInside`, which says what is refused. */
  root: string
  path: string
  /** Absolute path that is not there yet, in a directory where only we write. */
  to: string
  signal: AbortSignal
}

/** One regular file, found inside `root`, in the same way. */
export async function copyFileInside({ root, path, to, signal }: CopyFileInput): Promise<void> {
  const from = await openInside(root, path)
  try {
    await copyContent({ from, to: Buffer.from(to), signal, chunk: Buffer.allocUnsafe(chunkBytes) })
  } catch (error) {
    signal.throwIfAborted()
    throw explainFault(path, error)
  } finally {
    await from.close()
  }
}

const chunkBytes = 256 * 1024
/** Each level holds a descriptor, and the next attempt needs some too. */
const deepest = 200

interface Copy extends CopiedTree, Pick<CopyTreeInput, 'skipped' | 'signal'> {
  chunk: Buffer
}

/** Paths are bytes: a name need not be UTF-8. */
interface Directory {
  handle: FileHandle
  path: Buffer
  to: Buffer
  /** Relative to the root, for people. */
  shown: string
  depth: number
}

async function copyDirectory(copy: Copy, directory: Directory): Promise<void> {
  const { handle, to, shown, depth } = directory
  if (depth > deepest) throw refused(shown, `it lies more than ${String(deepest)} directories deep`)
  await mkdir(to, { mode: 0o700 }).catch((error: unknown) => {
    throw explainFault(shown, error)
  })
  const names = await readdir(placeOf(directory), { encoding: 'buffer' })
  for (const name of names.sort((a, b) => a.compare(b))) {
    copy.signal.throwIfAborted()
    const path = shown === '' ? name.toString() : `${shown}/${name.toString()}`
    try {
      await copyEntry(copy, directory, { name, path })
    } catch (error) {
      copy.signal.throwIfAborted()
      throw error instanceof BelayError ? error : explainFault(path, error)
    }
  }
  const { mode, atime, mtime } = await handle.stat()
  // Ours in any case: whoever removes the copy has to be able to.
  await chmod(to, (mode & 0o7777) | 0o700)
  await utimes(to, atime, mtime)
}

async function copyEntry(copy: Copy, directory: Directory, { name, path }: { name: Buffer; path: string }): Promise<void> {
  const source = below(placeOf(directory), name)
  const to = below(directory.to, name)
  const found = await unlessGone(lstat(source))
  if (found === undefined) return copy.skipped(path, 'it went away meanwhile')
  if (found.isSymbolicLink()) return copyLink(source, to, found)
  if (!found.isDirectory() && !found.isFile()) return copy.skipped(path, 'it is a device, a pipe or a socket')
  // Without O_NONBLOCK a pipe that took the file's place would hold us for ever.
  const kind = found.isDirectory() ? constants.O_DIRECTORY : constants.O_NONBLOCK
  const handle = await unlessGone(open(source, constants.O_RDONLY | constants.O_NOFOLLOW | kind))
  if (handle === undefined) return copy.skipped(path, 'it went away meanwhile')
  try {
    if (found.isDirectory()) {
      const inner = { handle, path: below(directory.path, name), to, shown: path, depth: directory.depth + 1 }
      return await copyDirectory(copy, inner)
    }
    if (!(await handle.stat()).isFile()) throw refused(path, 'it changed while it was copied')
    copy.bytes += await copyContent({ ...copy, from: handle, to })
    copy.files += 1
  } finally {
    await handle.close()
  }
}

async function copyLink(source: Buffer, to: Buffer, { atime, mtime }: Stats): Promise<void> {
  await symlink(await readlink(source, { encoding: 'buffer' }), to)
  await lutimes(to, atime, mtime)
}

async function copyContent(copy: Pick<Copy, 'chunk' | 'signal'> & { from: FileHandle; to: Buffer }): Promise<number> {
  const { from, to, chunk, signal } = copy
  const { size, mode, atime, mtime } = await from.stat()
  const file = await open(to, 'wx', 0o600)
  try {
    let at = 0
    while (at < size) {
      signal.throwIfAborted()
      const { bytesRead } = await from.read(chunk, 0, Math.min(chunk.length, size - at), at)
      if (bytesRead === 0) break
      await file.writeFile(chunk.subarray(0, bytesRead))
      at += bytesRead
    }
    await file.chmod(mode & 0o7777)
    await file.utimes(atime, mtime)
    return at
  } finally {
    await file.close()
  }
}

/** Where the directory's entries are found: below the descriptor, whatever its name means by now. */
function placeOf({ handle, path }: Pick<Directory, 'handle' | 'path'>): Buffer {
  return process.platform === 'linux' ? Buffer.from(`/proc/self/fd/${String(handle.fd)}`) : path
}

function below(directory: Buffer, name: Buffer): Buffer {
  return Buffer.concat([directory, Buffer.from('/'), name])
}

async function unlessGone<T>(asked: Promise<T>): Promise<T | undefined> {
  try {
    return await asked
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined
    throw error
  }
}
