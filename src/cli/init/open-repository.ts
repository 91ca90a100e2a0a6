import { closeSync, constants, fstatSync, lstatSync, openSync, readSync } from 'node:fs'
import { join } from 'node:path'
import { BelayError } from '../../domain/errors.ts'
import { spawnProcess } from '../../process/spawn.ts'
import { cell } from '../format.ts'
import type { Io } from '../io.ts'
import { treeOf, type Tree } from './tree.ts'

export interface Repository {
  /** Its top directory. */
  root: string
  /** The branch that it is released from, as far as Git knows here. */
  branch: string
  tree: Tree
}

const mostListed = 16 * 1024 * 1024
const mostPaths = 50_000
const mostRead = 256 * 1024

/** The repository that we stand in. Throws `not_found` outside of one. */
export async function openRepository(io: Io): Promise<Repository> {
  const top = await runGit(io, io.cwd, ['rev-parse', '--show-toplevel'])
  if (!top.good) {
    // Not only "no repository": Git also refuses one that belongs to somebody else.
    const said = cell(top.text.trim(), 200)
    const hint = 'Go into one, or make one with `git init`.'
    throw new BelayError({ code: 'not_found', message: `Git finds no working tree here: ${said}`, hint })
  }
  const root = top.text.replace(/\n$/, '')
  const listed = await runGit(io, root, ['ls-files', '-z', '--cached', '--others', '--exclude-standard'])
  if (!listed.good) {
    const said = cell(listed.text.trim(), 200)
    throw new BelayError({
      code: 'refused',
      message: `Git cannot list the files here: ${said}`,
      hint: 'Does `git ls-files` work?',
    })
  }
  // A name that is no UTF-8 cannot be written into a pipeline.
  const paths = listed.text.split('\0').filter((path) => path !== '' && !path.includes('\ufffd'))
  const tree = treeOf(
    paths.slice(0, mostPaths).filter((path) => isRegularFile(join(root, path))),
    (path) => readText(join(root, path)),
  )
  return { root, branch: await findBranch(io, root), tree }
}

async function findBranch(io: Io, root: string): Promise<string> {
  for (const ref of ['refs/remotes/origin/HEAD', 'HEAD']) {
    const { good, text } = await runGit(io, root, ['symbolic-ref', '--short', ref])
    if (good) return text.trim().replace(/^origin\//, '')
  }
  return 'main'
}

/** What it prints, errors included; cut off where it is too much. */
async function runGit(io: Io, cwd: string, args: string[]): Promise<{ good: boolean; text: string }> {
  const chunks: Buffer[] = []
  let bytes = 0
  const env = { PATH: io.env['PATH'] ?? '/usr/bin:/bin', HOME: io.env['HOME'] ?? '/', LC_ALL: 'C.UTF-8' }
  const spawned = await spawnProcess({
    ...{ file: 'git', args: ['-c', 'core.fsmonitor=false', ...args], cwd, env },
    output: (chunk) => {
      bytes += chunk.length
      if (bytes <= mostListed) chunks.push(chunk)
    },
  })
  const { exitCode } = await spawned.done
  return { good: exitCode === 0, text: Buffer.concat(chunks).toString('utf8') }
}

/** A tracked file may be deleted, and a link is not followed. */
function isRegularFile(file: string): boolean {
  return lstatSync(file, { throwIfNoEntry: false })?.isFile() === true
}

function readText(file: string): string | undefined {
  try {
    return readSmallText(file)
  } catch {
    // Gone or forbidden: to a detector that is the same as not there.
    return undefined
  }
}

function readSmallText(file: string): string | undefined {
  // Without O_NONBLOCK a pipe that came in the meantime would hold us for ever.
  const descriptor = openSync(file, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  try {
    const { size } = fstatSync(descriptor)
    if (size > mostRead) return undefined
    const buffer = Buffer.alloc(size)
    const text = buffer.subarray(0, readSync(descriptor, buffer, 0, size, 0)).toString('utf8')
    return text.includes('\0') ? undefined : text.replace(/^\ufeff/, '')
  } finally {
    closeSync(descriptor)
  }
}
