/** A layer: a gzipped tar that is the same, byte for byte, for the same entries. */
import { createHash, type Hash } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { Transform, type TransformCallback } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createGzip } from 'node:zlib'
import { pack as packTar, type Header, type Pack } from 'tar-stream'
import { openInside } from '../../../process/open-inside.ts'
import type { LayerEntry } from './collect-files.ts'

export interface LayerInput {
  /** Absolute path of the checkout. */
  workspace: string
  entries: readonly LayerEntry[]
  /** Owner of everything in the layer: uid and gid. */
  owner: number
  /** Absolute path of the file to write. */
  file: string
  signal: AbortSignal
}

export interface WrittenLayer {
  /** Digest of the gzipped tar: the blob's name. */
  digest: string
  /** Digest of the plain tar: the layer's name in the image's configuration. */
  diffId: string
  sizeBytes: number
  /** The regular files in it, in their order. */
  files: LayerFile[]
}

export interface LayerFile {
  /** Path in the image without a leading slash. */
  name: string
  /** Both in hex; SPDX 2.3 wants the older one of every file. */
  sha1: string
  sha256: string
}

export async function writeLayer(input: LayerInput): Promise<WrittenLayer> {
  const pack = packTar()
  const plain = createHash('sha256')
  const gzipped = createHash('sha256')
  const size = { bytes: 0 }
  const writing = pipeline(
    pack,
    tap(plain),
    // The default header has no time in it.
    createGzip({ level: 6 }),
    tap(gzipped, size),
    createWriteStream(input.file, { flags: 'wx', mode: 0o600, flush: true }),
    { signal: input.signal },
  )
  const [, files] = await Promise.all([writing, addEntries(pack, input)])
  return { files, digest: `sha256:${gzipped.digest('hex')}`, diffId: `sha256:${plain.digest('hex')}`, sizeBytes: size.bytes }
}

async function addEntries(pack: Pack, input: LayerInput): Promise<LayerFile[]> {
  const files: LayerFile[] = []
  try {
    for (const entry of input.entries) {
      const digests = await addEntry(pack, entry, input)
      if (digests !== undefined) files.push({ name: entry.name, ...digests })
    }
    pack.finalize()
    return files
  } catch (error) {
    pack.destroy(error instanceof Error ? error : new Error(String(error)))
    throw error
  }
}

/** Gives the digests of a file's content; nothing for what is no file. */
async function addEntry(
  pack: Pack,
  entry: LayerEntry,
  { workspace, owner, signal }: LayerInput,
): Promise<Omit<LayerFile, 'name'> | undefined> {
  const header = { name: entry.name, uid: owner, gid: owner, mtime: new Date(0) }
  if (entry.type === 'directory') return addHeader(pack, { ...header, type: 'directory', mode: 0o755 })
  if (entry.type === 'symlink') return addHeader(pack, { ...header, type: 'symlink', mode: 0o777, linkname: entry.target })
  const file = await openInside(workspace, entry.source)
  try {
    const { size, mode } = await file.stat()
    const sink = pack.entry({ ...header, type: 'file', size, mode: (mode & 0o100) === 0 ? 0o644 : 0o755 })
    const sha1 = createHash('sha1')
    const sha256 = createHash('sha256')
    await pipeline(file.createReadStream({ autoClose: false }), tap(sha1), tap(sha256), sink, { signal })
    return { sha1: sha1.digest('hex'), sha256: sha256.digest('hex') }
  } finally {
    await file.close()
  }
}

function addHeader(pack: Pack, header: Partial<Header> & { name: string }): Promise<undefined> {
  return new Promise((resolve, reject) => {
    pack.entry(header, (error) => {
      if (error === null || error === undefined) resolve(undefined)
      else reject(error)
    })
  })
}

/** Passes bytes on, and takes note of them. */
function tap(hash: Hash, size?: { bytes: number }): Transform {
  return new Transform({
    transform(chunk: Buffer, _encoding, done: TransformCallback) {
      hash.update(chunk)
      if (size !== undefined) size.bytes += chunk.length
      done(null, chunk)
    },
  })
}
