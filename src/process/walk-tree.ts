import { readdir } from 'node:fs/promises'
import type { Dirent } from 'node:fs'
import { join } from 'node:path'

export interface TreeEntry {
  /** Relative to the root of the walk, `/`-separated. */
  path: string
  type: 'file' | 'directory' | 'symlink' | 'other'
}

/** Everything below a directory, a directory before what is in it, sorted by name; follows no symlink. */
export async function* walkTree(root: string, below = ''): AsyncGenerator<TreeEntry> {
  const entries = await readdir(join(root, below), { withFileTypes: true })
  for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const path = below === '' ? entry.name : `${below}/${entry.name}`
    const type = typeOf(entry)
    yield { path, type }
    if (type === 'directory') yield* walkTree(root, path)
  }
}

function typeOf(entry: Dirent): TreeEntry['type'] {
  if (entry.isSymbolicLink()) return 'symlink'
  if (entry.isDirectory()) return 'directory'
  return entry.isFile() ? 'file' : 'other'
}
