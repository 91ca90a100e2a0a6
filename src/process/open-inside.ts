/** Reading files that somebody else may be changing: never anything outside the directory they were said to be in. */
import { constants } from 'node:fs'
import { open, readlink, realpath, type FileHandle } from 'node:fs/promises'
import { join, sep } from 'node:path'
import { BelayError } from '../domain/errors.ts'

/**
 * Opens a regular file for reading. Symlinks are followed as long as they stay inside `root` (absolute); one that leads
 * out, a missing file and a device, pipe or directory are `refused`. Linux: checked again on the open descriptor, so a
 * link that is swapped in between gains nothing. The caller closes.
 */
export async function openInside(root: string, path: string): Promise<FileHandle> {
  const real = await realPathInside(root, path)
  const handle = await openOrRefuse(real, path)
  try {
    if (!(await handle.stat()).isFile()) throw refused(path, 'it is not a regular file')
    const opened = process.platform === 'linux' ? await readlink(`/proc/self/fd/${String(handle.fd)}`) : real
    if (!isInside(await realpath(root), opened)) throw refused(path, 'it leads out of the directory')
    return handle
  } catch (error) {
    await handle.close()
    throw error
  }
}

/** An open directory, and the path that it was found at: absolute, free of symlinks. */
export interface OpenDirectory {
  handle: FileHandle
  path: string
}

/** The same for a directory: whatever takes its name afterwards, the descriptor stays what was checked. The caller closes. */
export async function openDirectoryInside(root: string, path: string): Promise<OpenDirectory> {
  const real = await realPathInside(root, path)
  const handle = await open(real, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_DIRECTORY).catch((error: unknown) => {
    throw refused(path, 'it is not a directory that can be read', error)
  })
  try {
    const opened = process.platform === 'linux' ? await readlink(`/proc/self/fd/${String(handle.fd)}`) : real
    if (!isInside(await realpath(root), opened)) throw refused(path, 'it leads out of the directory')
    return { handle, path: opened }
  } catch (error) {
    await handle.close()
    throw error
  }
}

/** The path with every symlink resolved; `refused` if it is missing or lies outside `root`. */
export async function realPathInside(root: string, path: string): Promise<string> {
  const real = await realpath(join(root, path)).catch((error: unknown) => {
    throw refused(path, 'it is not there', error)
  })
  if (!isInside(await realpath(root), real)) throw refused(path, 'it leads out of the directory')
  return real
}

/** Is this absolute, normalised path the directory itself or something below it? */
export function isInside(directory: string, path: string): boolean {
  return path === directory || path.startsWith(directory.endsWith(sep) ? directory : directory + sep)
}

async function openOrRefuse(real: string, path: string): Promise<FileHandle> {
  // Without O_NONBLOCK a named pipe would hold us for ever.
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK
  return open(real, flags).catch((error: unknown) => {
    throw refused(path, 'it cannot be read', error)
  })
}

function refused(path: string, why: string, cause?: unknown): BelayError {
  return new BelayError({
    code: 'refused',
    message: `cannot take ${JSON.stringify(path)}: ${why}`,
    hint: 'Name regular files inside the checkout; leave out links that lead elsewhere.',
    ...(cause === undefined ? {} : { cause }),
  })
}
