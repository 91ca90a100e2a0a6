/** Lays one layer's entries into a directory, and nothing outside it. Layers are other people's bytes. */
import { constants } from 'node:fs'
import { link, lstat, mkdir, open, readdir, rm, symlink, type FileHandle } from 'node:fs/promises'
import { dirname, posix } from 'node:path'
import { extract, type Extract } from 'tar-stream'
import { BelayError, messageOf } from '../../../domain/errors.ts'

type Entry = Extract extends AsyncIterable<infer E> ? E : never

/** What is left of the allowance for one image, over all its layers. */
export interface Allowance {
  bytes: number
  entries: number
}

/** Throws `refused` at the first entry that is not taken, and for what is no archive. */
export async function unpackLayer(tar: AsyncIterable<Buffer>, root: string, allowance: Allowance): Promise<void> {
  try {
    await layEntries(tar, root, allowance)
  } catch (error) {
    throw isMalformed(error) ? refused('?', `the layer cannot be read: ${messageOf(error)}`, error) : error
  }
}

async function layEntries(tar: AsyncIterable<Buffer>, root: string, allowance: Allowance): Promise<void> {
  const entries = extract()
  const fed = feed(tar, entries)
  // Its failure is thrown below, once the entries have ended; until then it must not count as unhandled.
  fed.catch(() => undefined)
  for await (const entry of entries) {
    allowance.entries -= 1
    if (allowance.entries < 0) throw refused(entry.header.name, 'the image has too many entries')
    await layEntry(entry, root, allowance)
    entry.resume()
  }
  await fed
}

/** By hand, as a pipeline would wait for entries that nobody reads any more after one was refused. */
async function feed(tar: AsyncIterable<Buffer>, entries: Extract): Promise<void> {
  try {
    for await (const chunk of tar) {
      if (entries.destroyed) return
      if (!entries.write(chunk)) await drained(entries)
    }
    entries.end(undefined)
  } catch (error) {
    entries.destroy(error instanceof Error ? error : new Error(String(error)))
    throw error
  }
}

function drained(entries: Extract): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      entries.off('drain', done)
      entries.off('close', done)
      resolve()
    }
    entries.once('drain', done)
    entries.once('close', done)
  })
}

async function layEntry(entry: Entry, root: string, allowance: Allowance): Promise<void> {
  const { name, type, linkname, mode } = entry.header
  const path = safePath(name)
  if (path === '.') return
  const base = posix.basename(path)
  const place = `${root}/${path}`
  await ensureRealDirectory(root, posix.dirname(path))
  if (base === '.wh..wh..opq') return emptyDirectory(dirname(place))
  if (base.startsWith('.wh.')) return removeEntry(name, dirname(place), base.slice('.wh.'.length))
  switch (type) {
    case 'directory':
      return ensureRealDirectory(root, path, { replace: true })
    case 'file':
    case 'contiguous-file':
      await rm(place, { recursive: true, force: true })
      return writeEntry(entry, place, { mode: mode ?? 0, allowance })
    case 'symlink':
      await rm(place, { recursive: true, force: true })
      return symlink(safeTarget(path, linkname ?? ''), place)
    case 'link':
      return hardLink(root, path, safePath(linkname ?? ''))
    default:
      throw refused(name, `entries of type ${type} are not taken`)
  }
}

/** What an upper layer takes out of a lower one. */
async function removeEntry(name: string, directory: string, gone: string): Promise<void> {
  if (['', '.', '..'].includes(gone)) throw refused(name, 'it leaves the image')
  await rm(`${directory}/${gone}`, { recursive: true, force: true })
}

/** Relative to the root, without `..`; `.` for the root itself. */
function safePath(name: string): string {
  const path = posix.normalize(name).replace(/\/+$/, '')
  if (name.includes('\0') || posix.isAbsolute(name) || path === '..' || path.startsWith('../')) {
    throw refused(name, 'it leaves the image')
  }
  return path === '' ? '.' : path
}

/** Where a symlink may point to: a place inside the image, said relatively, as the image is not the root of its process. */
function safeTarget(path: string, target: string): string {
  const inside = posix.normalize(posix.join(posix.dirname(path), target))
  if (target === '' || target.includes('\0') || posix.isAbsolute(target) || inside === '..' || inside.startsWith('../')) {
    throw refused(path, `its link to ${JSON.stringify(target)} leaves the image`)
  }
  return target
}

/** Makes the directories of a path one by one, and never goes through a link: a link made by an earlier entry may lead anywhere. */
async function ensureRealDirectory(root: string, path: string, { replace = false } = {}): Promise<void> {
  const parts = path === '.' ? [] : path.split('/')
  let place = root
  for (const [index, part] of parts.entries()) {
    place = `${place}/${part}`
    const there = await lstat(place).catch(ifAbsent)
    if (there?.isDirectory() === true) continue
    if (there !== undefined) {
      if (!replace || index < parts.length - 1) throw refused(path, `${part} on its way is not a directory`)
      await rm(place)
    }
    await mkdir(place, { mode: 0o755 })
  }
}

async function writeEntry(entry: Entry, place: string, { mode, allowance }: { mode: number; allowance: Allowance }) {
  // Readable by the user it runs as, writable by us alone; no setuid.
  const permissions = 0o644 | (mode & 0o111 ? 0o111 : 0)
  const file = await open(place, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW, permissions)
  try {
    await copy(entry, file, allowance)
    await file.chmod(permissions)
    // A release that was reported as there must be there after a power cut.
    await file.sync()
  } finally {
    await file.close()
  }
}

async function copy(entry: Entry, file: FileHandle, allowance: Allowance): Promise<void> {
  for await (const chunk of entry as AsyncIterable<Buffer>) {
    allowance.bytes -= chunk.length
    if (allowance.bytes < 0) throw refused(entry.header.name, 'the image is too large')
    await file.writeFile(chunk)
  }
}

async function hardLink(root: string, path: string, target: string): Promise<void> {
  const source = `${root}/${target}`
  await ensureRealDirectory(root, posix.dirname(target))
  const there = await lstat(source).catch(ifAbsent)
  if (there?.isFile() !== true) throw refused(path, `it links to ${JSON.stringify(target)}, which is no file of the image`)
  if (path === target) return
  await rm(`${root}/${path}`, { recursive: true, force: true })
  await link(source, `${root}/${path}`)
}

async function emptyDirectory(directory: string): Promise<void> {
  for (const name of await readdir(directory)) await rm(`${directory}/${name}`, { recursive: true, force: true })
}

function ifAbsent(error: unknown): undefined {
  if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
  throw error
}

/** Neither ours nor the file system's: then it is the archive's, or the compression's. */
function isMalformed(error: unknown): boolean {
  if (error instanceof BelayError) return false
  const code: unknown = error instanceof Error && 'code' in error ? error.code : undefined
  return typeof code !== 'string' || code.startsWith('Z_')
}

function refused(name: string, why: string, cause?: unknown): BelayError {
  return new BelayError({
    code: 'refused',
    message: `the image holds an entry that is refused, ${JSON.stringify(name)}: ${why}`,
    cause,
  })
}
