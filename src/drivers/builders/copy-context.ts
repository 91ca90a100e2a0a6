/**
 * What a build reads, copied to where no step can change it: the programs that build open paths again, as whoever we are,
 * and a step that runs beside them could make a link of any of these in between.
 */
import type { Stats } from 'node:fs'
import { lstat, mkdir, realpath, rm } from 'node:fs/promises'
import { basename, join, relative } from 'node:path'
import { BelayError } from '../../domain/errors.ts'
import { copyFileInside, copyTree } from '../../process/copy-tree.ts'
import { isInside, openDirectoryInside, openInside, realPathInside } from '../../process/open-inside.ts'
import type { BuildImageInput } from './builder.ts'

export interface CopyContextInput extends Pick<BuildImageInput, 'workspace' | 'scratch' | 'log' | 'signal'> {
  /** Both relative to the workspace. */
  context: string
  dockerfile: string
}

/** Absolute paths in `scratch`, free of symlinks. */
export interface CopiedContext {
  context: string
  /** In the copy of the context if it lay in the context, else beside it. */
  dockerfile: string
}

/** Throws `refused`: missing, leading out of the workspace, unreadable, changed meanwhile; `unavailable`: no room. */
export async function copyContext(input: CopyContextInput): Promise<CopiedContext> {
  const { workspace, log, signal } = input
  // Before anything large is copied.
  await (await openInside(workspace, input.dockerfile)).close()
  const dockerfile = await realPathInside(workspace, input.dockerfile)
  const [root, scratch] = await Promise.all([realpath(workspace), realpath(input.scratch)])
  const context = join(scratch, 'context')
  const from = await openDirectoryInside(workspace, input.context)
  try {
    const skipped = (path: string, why: string): void => log(`left out of the context: ${JSON.stringify(path)}, ${why}`)
    const { files, bytes } = await copyTree({ from, to: context, skipped, signal })
    log(`context ${input.context}: ${String(files)} files, ${String(bytes)} bytes`)
  } finally {
    await from.handle.close()
  }
  const places = { root, original: from.path, copy: context, signal }
  await settleLinks(places, ignoreFiles)
  if (!isInside(from.path, dockerfile)) {
    return { context, dockerfile: await copyBeside({ root, dockerfile, directory: join(scratch, 'dockerfile'), signal }) }
  }
  const name = relative(from.path, dockerfile)
  const copied = join(context, name)
  if ((await realPathInside(context, name)) !== copied || !(await lstat(copied)).isFile()) throw changed(input.dockerfile)
  await settleLinks(places, ignoreFilesOf(name))
  return { context, dockerfile: copied }
}

/** These `docker` and `buildah` read themselves, as we, and follow links; all else of a context they take as it is. */
const ignoreFiles = ['.dockerignore', '.containerignore']
const ignoreFilesOf = (dockerfile: string): string[] => ignoreFiles.map((suffix) => `${dockerfile}${suffix}`)

interface Places {
  /** Of the workspace. */
  root: string
  original: string
  copy: string
  signal: AbortSignal
}

/** A link among them becomes what it means inside the workspace. */
async function settleLinks({ root, original, copy, signal }: Places, names: readonly string[]): Promise<void> {
  for (const name of names) {
    const to = join(copy, name)
    if ((await findEntry(to))?.isSymbolicLink() !== true) continue
    await rm(to)
    await copyFileInside({ root, path: relative(root, join(original, name)), to, signal })
  }
}

interface Beside {
  root: string
  dockerfile: string
  directory: string
  signal: AbortSignal
}

/** A Dockerfile from elsewhere in the workspace, with the lists of what to leave out that belong to it. */
async function copyBeside({ root, dockerfile, directory, signal }: Beside): Promise<string> {
  await mkdir(directory, { mode: 0o700 })
  for (const file of [dockerfile, ...ignoreFilesOf(dockerfile)]) {
    if (file !== dockerfile && (await findEntry(file)) === undefined) continue
    await copyFileInside({ root, path: relative(root, file), to: join(directory, basename(file)), signal })
  }
  return join(directory, basename(dockerfile))
}

async function findEntry(path: string): Promise<Stats | undefined> {
  return lstat(path).catch((error: unknown) => {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw error
  })
}

function changed(path: string): BelayError {
  return new BelayError({ code: 'refused', message: `cannot take ${JSON.stringify(path)}: it changed while it was copied` })
}
