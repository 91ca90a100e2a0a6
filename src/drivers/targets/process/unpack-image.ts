import { randomBytes } from 'node:crypto'
import { lstat, mkdir, readdir, realpath, rename, rm, utimes } from 'node:fs/promises'
import { Readable } from 'node:stream'
import { createGunzip } from 'node:zlib'
import { BelayError } from '../../../domain/errors.ts'
import { syncDirectory } from '../../../process/durable-file.ts'
import { streamBlob, type Descriptor } from './image-layout.ts'
import { unpackLayer } from './unpack-layer.ts'

/** Far above any application; it only ends what is made to fill the disk. */
const limits = { bytes: 8 * 1024 ** 3, entries: 500_000 }

/**
 * Unpacks an image's layers into `<directory>/<digest hex>`, whole or not at all, and returns that path. Already there:
 * nothing is read. Two at once: one of them wins, with the same content.
 */
export async function unpackImage(options: {
  layout: string
  digest: string
  layers: readonly Descriptor[]
  directory: string
}): Promise<string> {
  const { directory } = options
  const place = `${directory}/${options.digest.slice('sha256:'.length)}`
  await mkdir(directory, { recursive: true, mode: 0o755 })
  if (!(await exists(place))) {
    const temporary = `${directory}/.unpack-${randomBytes(8).toString('hex')}`
    try {
      await mkdir(temporary, { mode: 0o755 })
      const allowance = { ...limits }
      for (const layer of options.layers) await unpackLayer(uncompressed(options.layout, layer), temporary, allowance)
      await refuseLinksOut(temporary)
      await moveInto(temporary, place)
    } finally {
      await rm(temporary, { recursive: true, force: true })
    }
  }
  // Its age counts from its last use.
  await utimes(place, new Date(), new Date())
  return place
}

async function* uncompressed(layout: string, layer: Descriptor): AsyncGenerator<Buffer, void, undefined> {
  const blob = streamBlob(layout, layer)
  switch (layer.mediaType) {
    case 'application/vnd.oci.image.layer.v1.tar':
      return yield* blob
    case 'application/vnd.oci.image.layer.v1.tar+gzip':
      return yield* gunzipped(blob)
    default:
      throw new BelayError({
        code: 'not_yet',
        message: `layers of type ${layer.mediaType} are not unpacked yet`,
        hint: 'Build the image with plain or gzip layers.',
      })
  }
}

async function* gunzipped(blob: AsyncGenerator<Buffer, void, undefined>): AsyncGenerator<Buffer, void, undefined> {
  const source = Readable.from(blob)
  const gunzip = createGunzip()
  source.once('error', (error) => gunzip.destroy(error))
  try {
    yield* source.pipe(gunzip) as AsyncIterable<Buffer>
    // The digest is of the whole blob, and was not checked unless all of it was read.
    if (!source.readableEnded) throw new BelayError({ code: 'refused', message: 'a layer goes on after its compressed data' })
  } finally {
    source.destroy()
  }
}

/** Each link was checked as it is written; several of them together could still lead out. */
async function refuseLinksOut(root: string): Promise<void> {
  const real = await realpath(root)
  for (const entry of await readdir(root, { recursive: true, withFileTypes: true })) {
    if (!entry.isSymbolicLink()) continue
    const path = `${entry.parentPath}/${entry.name}`
    const end = await realpath(path).catch(() => undefined) // Leads to nothing: no harm.
    if (end !== undefined && end !== real && !end.startsWith(`${real}/`)) {
      throw new BelayError({ code: 'refused', message: `the image holds a link that leaves it: ${path.slice(root.length)}` })
    }
  }
}

async function moveInto(temporary: string, place: string): Promise<void> {
  try {
    await rename(temporary, place)
  } catch (error) {
    // Somebody else was first.
    if (!(await exists(place))) throw error
  }
  syncDirectory(place.slice(0, place.lastIndexOf('/')))
}

async function exists(path: string): Promise<boolean> {
  return lstat(path).then(
    () => true,
    () => false,
  )
}
