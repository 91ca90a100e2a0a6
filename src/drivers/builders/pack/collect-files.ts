/** What goes into one layer: one entry of `files`, resolved to a sorted list of tar entries. */
import { readlink, stat } from 'node:fs/promises'
import { dirname, join, posix, relative } from 'node:path'
import { BelayError } from '../../../domain/errors.ts'
import { isInside, realPathInside } from '../../../process/open-inside.ts'
import { walkTree } from '../../../process/walk-tree.ts'

/** `name`: path in the image without a leading slash. `source`: relative to the workspace. */
export type LayerEntry =
  | { type: 'directory'; name: string }
  | { type: 'file'; name: string; source: string }
  | { type: 'symlink'; name: string; target: string }

export interface FileMapping {
  /** Absolute path of the checkout. */
  workspace: string
  /** A file or a directory, relative to the checkout. */
  from: string
  /** Absolute path in the image; of a file, or with a slash at its end of the directory that it goes into. */
  to: string
}

/** Sorted by name, parents first. Throws `refused`: something missing, outside the checkout, a bad path, a device. */
export async function collectFiles({ workspace, from, to }: FileMapping): Promise<LayerEntry[]> {
  const target = checkImagePath(to)
  const root = await realPathInside(workspace, checkSourcePath(from))
  const found = await stat(root)
  if (found.isDirectory()) {
    const inside = await directoryEntries({ checkout: await realPathInside(workspace, '.'), root, target })
    return sortByName([...parentsOf(`${target}/`), ...inside])
  }
  const name = to.endsWith('/') ? posix.join(target, posix.basename(from)) : target
  if (name === '') throw refused(to, 'it names the root of the image, not a file')
  return [...parentsOf(name), { type: 'file', name, source: from }]
}

interface DirectoryMapping {
  /** Absolute and free of symlinks, both. */
  checkout: string
  root: string
  target: string
}

async function directoryEntries({ checkout, root, target }: DirectoryMapping): Promise<LayerEntry[]> {
  const entries: LayerEntry[] = []
  for await (const { path, type } of walkTree(root)) {
    // Git's own directory is no part of what was committed.
    if (root === checkout && (path === '.git' || path.startsWith('.git/'))) continue
    const name = posix.join(target, path)
    const source = relative(checkout, join(root, path))
    if (type === 'directory') entries.push({ type, name })
    else if (type === 'file') entries.push({ type, name, source })
    else if (type === 'symlink') entries.push(await linkEntry({ checkout, root, name, source }))
    else throw refused(source, 'it is a device, a pipe or a socket')
  }
  return entries
}

/** A link inside what is packed stays a link; one to a file elsewhere in the checkout becomes that file. */
async function linkEntry(link: { checkout: string; root: string; name: string; source: string }): Promise<LayerEntry> {
  const { checkout, root, name, source } = link
  const real = await realPathInside(checkout, source)
  if (isInside(root, real)) {
    const target = relative(dirname(join(checkout, source)), real)
    return { type: 'symlink', name, target: target === '' ? '.' : target }
  }
  if ((await stat(real)).isFile()) return { type: 'file', name, source }
  throw refused(source, `it is a link to a directory outside of what is packed (${await readlink(join(checkout, source))})`)
}

function parentsOf(name: string): LayerEntry[] {
  const parts = name.split('/').slice(0, -1)
  return parts
    .map((_, depth): LayerEntry => ({ type: 'directory', name: parts.slice(0, depth + 1).join('/') }))
    .filter((parent) => parent.name !== '')
}

function sortByName(entries: LayerEntry[]): LayerEntry[] {
  return entries.sort((a, b) => (a.name < b.name ? -1 : 1))
}

function checkSourcePath(from: string): string {
  const bad = from === '' || from.startsWith('/') || from.includes('\0') || from.split('/').includes('..')
  if (bad || from.split('/').includes('.git')) throw refused(from, 'it is not a path inside the checkout')
  return from
}

/** Normalised, without slashes at its ends; empty for the root. */
function checkImagePath(to: string): string {
  const bad = !to.startsWith('/') || to.includes('\0') || to.split('/').includes('..')
  if (bad) throw refused(to, 'it is not an absolute path in the image')
  return posix.normalize(to).replace(/^\/+|\/+$/g, '')
}

function refused(path: string, why: string): BelayError {
  return new BelayError({
    code: 'refused',
    message: `cannot pack ${JSON.stringify(path)}: ${why}`,
    hint: 'In `files`, map paths inside the checkout to absolute paths in the image.',
  })
}
