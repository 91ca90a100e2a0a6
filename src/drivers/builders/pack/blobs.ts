/** Blobs of an OCI image layout: files named by the digest of what is in them. */
import { createHash, randomUUID } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { BelayError } from '../../../domain/errors.ts'
import { syncDirectory } from '../../../process/durable-file.ts'

/** A file name that nobody else uses. */
export async function temporaryBlob(layout: string): Promise<string> {
  await mkdir(blobsOf(layout), { recursive: true, mode: 0o700 })
  return join(blobsOf(layout), `${temporaryPrefix}${randomUUID()}`)
}
const temporaryPrefix = 'tmp,'

/** Gives a written and synced file its name; what was there under that name is replaced by the same. */
export async function keepBlob(layout: string, temporary: string, digest: string): Promise<void> {
  await rename(temporary, blobPath(layout, digest))
  syncDirectory(blobsOf(layout))
}

/** Writes a small blob, synced; gives its digest. */
export async function writeBlob(layout: string, content: string): Promise<string> {
  const temporary = await temporaryBlob(layout)
  const file = await open(temporary, 'wx', 0o600)
  try {
    await file.writeFile(content)
    await file.sync()
  } finally {
    await file.close()
  }
  const digest = `sha256:${createHash('sha256').update(content).digest('hex')}`
  await keepBlob(layout, temporary, digest)
  return digest
}

/** Reads a blob back from disk; throws `mismatch` unless it is what its name says. */
export async function verifyBlob(layout: string, digest: string): Promise<void> {
  const hash = createHash('sha256')
  for await (const chunk of createReadStream(blobPath(layout, digest)) as AsyncIterable<Buffer>) hash.update(chunk)
  const found = `sha256:${hash.digest('hex')}`
  if (found === digest) return
  throw new BelayError({ code: 'mismatch', message: `wrote ${digest} and read ${found} back`, hint: 'Is the disk sound?' })
}

/** Nothing is written for so long: the machine's own programs are not asked, since another container may share the disk. */
const abandonedMs = 24 * 3_600_000

/** What killed builds had begun to write, once it has not been written to for a day. */
export async function removeAbandonedBlobs(layout: string): Promise<void> {
  for (const name of await readdir(blobsOf(layout))) {
    if (!name.startsWith(temporaryPrefix)) continue
    const file = join(blobsOf(layout), name)
    // Gone: it has got its name, or somebody else has removed it.
    const found = await stat(file).catch(() => undefined)
    if (found !== undefined && found.mtimeMs < Date.now() - abandonedMs) await rm(file, { force: true })
  }
}

function blobsOf(layout: string): string {
  return join(layout, 'blobs', 'sha256')
}

export function blobPath(layout: string, digest: string): string {
  return join(blobsOf(layout), digest.slice('sha256:'.length))
}
