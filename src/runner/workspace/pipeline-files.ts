/** The pipeline files of a commit, read from the commit itself and never from a working copy that steps can change. */
import { createHash } from 'node:crypto'
import type { PipelineFile } from '../../contract/activities.ts'
import { BelayError } from '../../domain/errors.ts'
import type { Git } from './git-command.ts'
import { expectOk, type MirroredCommit } from './mirror.ts'

/** Bytes of all pipeline files of a commit together: they travel through the workflow's history. */
export const pipelineFilesLimitBytes = 256 * 1024

/** `.belay.yml` and `.belay/*.yml`, sorted by path. Throws `too_large`, `refused` (a symlink), `invalid_pipeline` (not UTF-8). */
export async function readPipelineFiles(git: Git, commit: MirroredCommit, signal: AbortSignal): Promise<PipelineFile[]> {
  const blobs = await listBlobs(git, commit, signal)
  const total = blobs.reduce((bytes, blob) => bytes + blob.sizeBytes, 0)
  if (total > pipelineFilesLimitBytes) {
    throw new BelayError({
      code: 'too_large',
      message: `the pipeline files have ${String(total)} bytes, more than ${String(pipelineFilesLimitBytes)} together`,
      hint: 'Move long scripts into files of their own and call them.',
    })
  }
  if (blobs.length === 0) return []
  const input = blobs.map((blob) => `${blob.id}\n`).join('')
  const read = await git({ args: ['cat-file', '--batch'], cwd: commit.directory, signal, input })
  expectOk(read)
  return splitBatch(read.output, blobs)
}

interface Blob {
  path: string
  id: string
  sizeBytes: number
}

async function listBlobs(git: Git, commit: MirroredCommit, signal: AbortSignal): Promise<Blob[]> {
  const args = ['ls-tree', '-z', '-l', '--full-tree', commit.sha, '--', '.belay.yml', '.belay/']
  const listed = await git({ args, cwd: commit.directory, signal })
  expectOk(listed)
  const blobs: Blob[] = []
  for (const line of listed.output.toString('utf8').split('\0').filter(Boolean)) {
    const entry = /^(?<mode>\d{6}) (?<type>\w+) (?<id>[0-9a-f]+) +(?<size>\d+|-)\t(?<path>.*)$/s.exec(line)?.groups
    if (entry?.path === undefined || entry.id === undefined) throw unexpected(line)
    if (!/^(?:\.belay\.yml|\.belay\/[^/]+\.yml)$/.test(entry.path)) continue
    if (!entry.mode?.startsWith('100')) throw notAFile(entry.path)
    blobs.push({ path: entry.path, id: entry.id, sizeBytes: Number(entry.size) })
  }
  return blobs.sort((a, b) => (a.path < b.path ? -1 : 1))
}

/** `<id> blob <size>\n<bytes>\n` for each; the bytes are checked against the id they were asked for by. */
function splitBatch(output: Buffer, blobs: readonly Blob[]): PipelineFile[] {
  let at = 0
  return blobs.map(({ path, id, sizeBytes }) => {
    const head = `${id} blob ${String(sizeBytes)}\n`
    const start = at + head.length
    const bytes = output.subarray(start, start + sizeBytes)
    const algorithm = id.length === 64 ? 'sha256' : 'sha1'
    if (
      createHash(algorithm)
        .update(`blob ${String(sizeBytes)}\0`)
        .update(bytes)
        .digest('hex') !== id
    ) {
      throw new BelayError({ code: 'mismatch', message: `what Git gave for ${path} is not what the commit names` })
    }
    at = start + sizeBytes + 1
    return { path, text: decode(path, bytes) }
  })
}

function decode(path: string, bytes: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch (cause) {
    throw new BelayError({ code: 'invalid_pipeline', message: `${path} is not UTF-8 text`, hint: 'Save it as UTF-8.', cause })
  }
}

function notAFile(path: string): BelayError {
  return new BelayError({
    code: 'refused',
    message: `${path} is not a regular file`,
    hint: 'Commit the file itself, not a link.',
  })
}

function unexpected(line: string): BelayError {
  return new BelayError({
    code: 'internal',
    message: `cannot read what git ls-tree printed: ${JSON.stringify(line.slice(0, 200))}`,
  })
}
