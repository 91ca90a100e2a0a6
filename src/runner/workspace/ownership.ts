/** Giving directories to the user that steps run as, and taking them away again, while that user may be up to no good. */
import { chmod, chown, lchown, lstat, readdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { BelayError } from '../../domain/errors.ts'
import { walkTree } from '../../process/walk-tree.ts'
import type { StepUser } from './workspaces.ts'

/**
 * Gives a directory and all in it to the user; links themselves, never what they point to. The directory itself comes
 * last: until then it is 0700 and ours, so nobody can swap a path under our feet.
 */
export async function giveTree(directory: string, user: StepUser): Promise<void> {
  for await (const entry of walkTree(directory)) await lchown(join(directory, entry.path), user.uid, user.gid)
  await chown(directory, user.uid, user.gid)
}

/** Removes a directory and all in it, read-only things and other owners' included; follows no link. Gone already: fine. */
export async function removeTree(directory: string, parts: readonly string[]): Promise<void> {
  // What steps could write is ours again before anything is removed: no link can be swapped in between.
  for (const part of parts) await takeBack(join(directory, part))
  try {
    // A directory without write permission keeps what is in it, for everybody but root.
    if (!isRoot()) await openDirectories(directory)
    await rm(directory, { recursive: true, force: true, maxRetries: 3 })
  } catch (cause) {
    throw new BelayError({
      code: 'unavailable',
      message: `cannot remove the workspace ${directory}`,
      hint: 'Does something in it belong to another user, or is it in use?',
      retryable: true,
      cause,
    })
  }
}

/** Moves a directory aside, so that half of it is never taken for the whole. */
export async function moveAside(from: string, to: string): Promise<void> {
  try {
    await rename(from, to)
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return
    throw error
  }
}

async function takeBack(directory: string): Promise<void> {
  const found = await lstat(directory).catch(() => undefined)
  if (found?.isDirectory() !== true) return
  if (isRoot()) await chown(directory, 0, 0)
  await chmod(directory, 0o700)
}

async function openDirectories(directory: string): Promise<void> {
  const found = await lstat(directory).catch(() => undefined)
  if (found?.isDirectory() !== true) return
  await chmod(directory, 0o700)
  for (const entry of await readdir(directory, { withFileTypes: true })) {
    if (entry.isDirectory()) await openDirectories(join(directory, entry.name))
  }
}

function isRoot(): boolean {
  return process.getuid?.() === 0
}
