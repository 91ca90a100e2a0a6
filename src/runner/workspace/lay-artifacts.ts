/** Puts artifacts of earlier steps into a fresh checkout. */
import { createHash, randomUUID } from 'node:crypto'
import { lstat, mkdir, open, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { BelayError } from '../../domain/errors.ts'
import type { Artifact } from '../../domain/step.ts'
import { checkInnerPath } from './artifact-paths.ts'
import { throwIfStopped } from './stopped.ts'
import type { WorkspacesOptions } from './workspaces.ts'

export interface LayInput {
  /** Absolute path, and nobody else's yet. */
  checkout: string
  artifacts: readonly Artifact[]
  fetchArtifact: WorkspacesOptions['fetchArtifact']
  signal: AbortSignal
}

/** Replaces what is there; the bytes are checked against their digest. Throws `refused` (a path that leads out), `mismatch`. */
export async function layArtifacts({ checkout, artifacts, fetchArtifact, signal }: LayInput): Promise<void> {
  for (const artifact of artifacts) {
    throwIfStopped(signal)
    const path = checkInnerPath(artifact.path)
    await makeParents(checkout, path)
    await writeChecked(join(checkout, path), artifact, await fetchArtifact(artifact.digest))
  }
}

/** The commit may hold a link in place of a directory; what is laid through it would land elsewhere. */
async function makeParents(checkout: string, path: string): Promise<void> {
  const parts = dirname(path).split('/')
  for (let depth = 1; depth <= parts.length; depth += 1) {
    const parent = join(checkout, ...parts.slice(0, depth))
    const type = await findType(parent)
    if (type === undefined) await mkdir(parent)
    else if (type !== 'directory') throw notADirectory(path, parts.slice(0, depth).join('/'))
  }
}

async function writeChecked(target: string, artifact: Artifact, bytes: AsyncIterable<Uint8Array>): Promise<void> {
  if ((await findType(target)) === 'directory') throw isDirectory(artifact.path)
  const temporary = `${target}.${randomUUID()}`
  const file = await open(temporary, 'wx', artifact.executable ? 0o755 : 0o644)
  try {
    const hash = createHash('sha256')
    for await (const chunk of bytes) {
      hash.update(chunk)
      await file.writeFile(chunk)
    }
    const digest = `sha256:${hash.digest('hex')}`
    if (digest !== artifact.digest) {
      throw new BelayError({
        code: 'mismatch',
        message: `artifact ${artifact.path} came as ${digest}, not as ${artifact.digest}`,
      })
    }
    await rename(temporary, target)
  } finally {
    await file.close()
    await rm(temporary, { force: true })
  }
}

async function findType(path: string): Promise<'directory' | 'other' | undefined> {
  // Not there (or below something that is no directory, which the next call says): undefined.
  const found = await lstat(path).catch(() => undefined)
  if (found === undefined) return undefined
  return found.isDirectory() ? 'directory' : 'other'
}

function isDirectory(path: string): BelayError {
  return new BelayError({
    code: 'refused',
    message: `cannot lay the artifact ${JSON.stringify(path)}: the commit has a directory there`,
  })
}

function notADirectory(path: string, parent: string): BelayError {
  return new BelayError({
    code: 'refused',
    message: `cannot lay the artifact ${JSON.stringify(path)}: the commit has something else than a directory at ${JSON.stringify(parent)}`,
    hint: 'Artifacts are not laid through symlinks; change the path or the commit.',
  })
}
