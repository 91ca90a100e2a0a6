/** OCI image layouts on this disk (image-spec v1.1, image-layout.md), seen by a clean-up: which of their files nobody needs. */
import { existsSync, type Stats } from 'node:fs'
import { open, readdir, readFile, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { BelayError } from '../../domain/errors.ts'
import { Digest } from '../../domain/step.ts'
import { writeFileDurably } from '../../process/durable-file.ts'
import { acquireHostLock } from '../../process/host-lock.ts'

/** Paths of all layouts below a directory: the names of their repositories. */
export async function findLayouts(root: string, below = ''): Promise<string[]> {
  const entries = await readdir(join(root, below), { withFileTypes: true }).catch(() => [])
  const here = below !== '' && existsSync(join(root, below, 'blobs', 'sha256')) ? [below] : []
  const others = entries.filter((entry) => entry.isDirectory() && !['blobs', 'sbom'].includes(entry.name))
  const found = await Promise.all(others.map(({ name }) => findLayouts(root, below === '' ? name : `${below}/${name}`)))
  return [...here, ...found.flat()]
}

export interface SweepLayout {
  layout: string
  /** Manifests that stay, and all that they name. */
  needed: ReadonlySet<string>
  /** So do images written since then, and any file written since `blobsBefore`, the later of the two (ms since 1970). */
  imagesBefore: number
  blobsBefore: number
  dry: boolean
}

interface File {
  name: string
  digest: string | undefined
  sizeBytes: number
  writtenAt: number
  /** Of a manifest or an index: the digests it names. */
  names: string[] | undefined
}

/**
 * Whoever finishes an image holds the layout's lock, and so do we; if it is held we come again next time. An image's manifest goes
 * before what it names: killed in between, the image is not there, and what is left of it goes next time.
 */
export async function sweepLayout(input: SweepLayout): Promise<{ count: number; bytes: number }> {
  if (input.dry) return sizeOf((await findGoing(input)).going)
  const lock = takeLock(input.layout)
  if (lock === undefined) return { count: 0, bytes: 0 }
  try {
    const { going, manifests } = await findGoing(input)
    await removeFromIndex(input.layout, new Set(manifests.map(({ digest }) => digest)))
    for (const { name } of [...manifests, ...going.filter((file) => !manifests.includes(file))]) {
      await rm(join(blobsOf(input.layout), name), { force: true })
      await rm(join(input.layout, 'sbom', `${name}.spdx.json`), { force: true })
    }
    return sizeOf(going)
  } finally {
    lock.release()
  }
}

function sizeOf(files: readonly File[]): { count: number; bytes: number } {
  return {
    count: files.filter(({ names }) => names !== undefined).length,
    bytes: files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
  }
}

function takeLock(layout: string) {
  try {
    return acquireHostLock(join(layout, '.belay-lock'), `the image layout ${layout}`)
  } catch (error) {
    if (error instanceof BelayError && error.code === 'conflict') return undefined
    throw error
  }
}

async function findGoing(input: SweepLayout): Promise<{ going: File[]; manifests: File[] }> {
  const files = await listFiles(blobsOf(input.layout))
  const byDigest = new Map(files.map((file) => [file.digest, file]))
  const staying = new Set<string>()
  const stay = (digest: string): void => {
    if (staying.has(digest)) return
    staying.add(digest)
    for (const name of byDigest.get(digest)?.names ?? []) stay(name)
  }
  for (const digest of input.needed) stay(digest)
  for (const { digest, names, writtenAt } of files)
    if (digest !== undefined && names !== undefined && writtenAt >= input.imagesBefore) stay(digest)
  // What is no blob is one that a killed build or pull had begun.
  const going = files.filter(
    ({ digest, writtenAt }) => writtenAt < input.blobsBefore && (digest === undefined || !staying.has(digest)),
  )
  return { going, manifests: going.filter(({ names }) => names !== undefined) }
}

async function listFiles(directory: string): Promise<File[]> {
  const files: File[] = []
  for (const name of await readdir(directory)) {
    const status = await statOf(join(directory, name))
    // A dry run looks without the lock: what was being written has its name by now.
    if (status === undefined) continue
    const { size, mtimeMs } = status
    const digest = Digest.safeParse(`sha256:${name}`).data
    const names = digest === undefined ? undefined : await namesOf(join(directory, name), size)
    files.push({ name, digest, sizeBytes: size, writtenAt: mtimeMs, names })
  }
  return files
}

async function statOf(file: string): Promise<Stats | undefined> {
  return stat(file).catch((error: unknown) => {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw error
  })
}

const Descriptor = z.object({ digest: Digest })
const Manifest = z.union([
  z.object({ schemaVersion: z.literal(2), config: Descriptor, layers: z.array(Descriptor) }),
  z.object({ schemaVersion: z.literal(2), manifests: z.array(Descriptor) }),
])

/** No reader takes a larger manifest. */
const manifestLimit = 4 * 1024 * 1024

/** Undefined: it is no manifest and no index. */
async function namesOf(file: string, size: number): Promise<string[] | undefined> {
  if (size > manifestLimit || !(await beginsLikeJson(file))) return undefined
  const parsed = Manifest.safeParse(parseJson(await readFile(file, 'utf8')))
  if (!parsed.success) return undefined
  const { data } = parsed
  return ('manifests' in data ? data.manifests : [data.config, ...data.layers]).map(({ digest }) => digest)
}

async function beginsLikeJson(file: string): Promise<boolean> {
  const handle = await open(file)
  try {
    const { buffer } = await handle.read(Buffer.alloc(64), 0, 64, 0)
    return buffer.toString('latin1').trimStart().startsWith('{')
  } finally {
    await handle.close()
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    // A layer may begin with anything.
    return undefined
  }
}

const Index = z.looseObject({ manifests: z.array(z.looseObject({ digest: z.string() })) })

/** Written by us and by other tools; what we do not understand we leave. */
async function removeFromIndex(layout: string, digests: ReadonlySet<string | undefined>): Promise<void> {
  const file = join(layout, 'index.json')
  if (digests.size === 0 || !existsSync(file)) return
  const index = Index.safeParse(parseJson(await readFile(file, 'utf8')))
  if (!index.success) return
  const manifests = index.data.manifests.filter(({ digest }) => !digests.has(digest))
  if (manifests.length < index.data.manifests.length) writeFileDurably(file, JSON.stringify({ ...index.data, manifests }))
}

function blobsOf(layout: string): string {
  return join(layout, 'blobs', 'sha256')
}
