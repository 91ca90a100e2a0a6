/** Files below a directory, while others may be changing them. */
import type { Dirent } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'

/** Every entry below the directory; no link is followed, and nothing below a path that `skip` names is looked at. */
export async function* walk(
  directory: string,
  skip: ReadonlySet<string> = new Set(),
): AsyncGenerator<{ path: string; entry: Dirent }> {
  if (skip.has(directory)) return
  for (const entry of await listEntries(directory)) {
    const path = join(directory, entry.name)
    yield { path, entry }
    if (entry.isDirectory()) yield* walk(path, skip)
  }
}

async function listEntries(directory: string): Promise<Dirent[]> {
  try {
    return await readdir(directory, { withFileTypes: true })
  } catch (error) {
    if (error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR')) return []
    throw error
  }
}
