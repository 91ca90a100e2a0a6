/** Blobs of an OCI image layout: files named by the digest of what is in them. */
import { createHash, randomUUID } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { mkdir, open, readdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { BelayError } from '../../../domain/errors.ts'
import { syncDirectory } from '../../../process/durable-file.ts'
import { findIdentity } from '../../../process/identity.ts'

/** A file name that nobody else uses; the process in it says whether somebody still writes there. */
export async function temporaryBlob(layout: string): Promise<string> {
  await mkdir(blobsOf(layout), { recursive: true, mode: 0o700 })
  const writer = [process.pid, encodeURIComponent(findIdentity(process.pid)?.startTime ?? 'unknown'), randomUUID()]
  return join(blobsOf(layout), `tmp,${writer.join(',')}`)
}

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

/** What killed builds had begun to write. */
export async function removeAbandonedBlobs(layout: string): Promise<void> {
  for (const name of await readdir(blobsOf(layout))) {
    const [, pid, startTime] = /^tmp,(\d+),([^,]*),[0-9a-f-]+$/.exec(name) ?? []
    if (pid === undefined || startTime === undefined) continue
    const writer = findIdentity(Number(pid))
    if (writer?.startTime !== decodeURIComponent(startTime)) await rm(join(blobsOf(layout), name), { force: true })
  }
}

function blobsOf(layout: string): string {
  return join(layout, 'blobs', 'sha256')
}

export function blobPath(layout: string, digest: string): string {
  return join(blobsOf(layout), digest.slice('sha256:'.length))
}
