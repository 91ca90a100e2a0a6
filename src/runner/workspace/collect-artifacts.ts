/** What a step declared and left behind: found by globs, known by digest. */
import { createHash } from 'node:crypto'
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import picomatch from 'picomatch'
import { BelayError } from '../../domain/errors.ts'
import type { Artifact } from '../../domain/step.ts'
import { openInside, realPathInside } from '../../process/open-inside.ts'
import { walkTree } from '../../process/walk-tree.ts'
import { checkInnerPath } from './artifact-paths.ts'
import type { ArtifactSpec } from './workspaces.ts'

/** `checkout`: absolute path. Each pattern must match something: a declared output that is missing is `refused`. */
export async function collectArtifacts(checkout: string, spec: ArtifactSpec): Promise<Artifact[]> {
  const excluded = matcherOf(spec.exclude.map(checkInnerPath))
  const found = new Set<string>()
  for (const pattern of spec.paths.map(checkInnerPath)) {
    const paths = (await findFiles(checkout, pattern)).filter((path) => !excluded(path))
    if (paths.length === 0) throw nothingMatches(pattern)
    for (const path of paths) found.add(path)
  }
  const artifacts: Artifact[] = []
  for (const path of [...found].sort()) artifacts.push(await hashFile(checkout, path))
  return artifacts
}

/** Paths of the files that the pattern matches; a directory that it names stands for everything in it. */
async function findFiles(checkout: string, pattern: string): Promise<string[]> {
  const matches = matcherOf([pattern])
  const base = fixedPartOf(pattern)
  const paths: string[] = []
  for await (const { path, type } of walkBelow(checkout, base)) {
    if (type !== 'directory' && matches(path) && path !== '.git' && !path.startsWith('.git/')) paths.push(path)
  }
  return paths
}

function matcherOf(patterns: readonly string[]): (path: string) => boolean {
  const globs = patterns.flatMap((pattern) => {
    const plain = pattern.replace(/\/+$/, '')
    return pattern.endsWith('/') ? [`${plain}/**`] : [plain, `${plain}/**`]
  })
  return globs.length === 0 ? () => false : picomatch(globs, { dot: true })
}

/** The directory in which a pattern can match at all, so that the rest of the tree is not read. */
function fixedPartOf(pattern: string): string {
  const { base, isGlob } = picomatch.scan(pattern)
  return (isGlob ? base : pattern).replace(/\/+$/, '')
}

async function* walkBelow(checkout: string, base: string): ReturnType<typeof walkTree> {
  if (base === '' || base === '.') {
    yield* walkTree(checkout)
    return
  }
  const type = await typeInside(checkout, base)
  if (type === undefined) return
  yield { path: base, type }
  if (type === 'directory') yield* walkTree(checkout, base)
}

/** Undefined if it is not there. A symlink among its parents must stay inside, and is then followed. */
async function typeInside(checkout: string, path: string): Promise<'file' | 'directory' | undefined> {
  const found = await stat(join(checkout, path)).catch(() => undefined)
  if (found === undefined) return undefined
  await realPathInside(checkout, path)
  return found.isDirectory() ? 'directory' : 'file'
}

async function hashFile(checkout: string, path: string): Promise<Artifact> {
  const file = await openInside(checkout, path)
  try {
    const { mode } = await file.stat()
    const hash = createHash('sha256')
    let sizeBytes = 0
    for await (const chunk of file.createReadStream({ autoClose: false }) as AsyncIterable<Buffer>) {
      hash.update(chunk)
      sizeBytes += chunk.length
    }
    return { path, digest: `sha256:${hash.digest('hex')}`, sizeBytes, executable: (mode & 0o100) !== 0 }
  } finally {
    await file.close()
  }
}

function nothingMatches(pattern: string): BelayError {
  return new BelayError({
    code: 'refused',
    message: `the step declared the artifact ${JSON.stringify(pattern)}, and left nothing there`,
    hint: 'Artifact paths are relative to the root of the repository; does the step write there?',
  })
}
