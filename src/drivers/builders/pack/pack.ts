/**
 * Makes an image without a container engine: one layer for each entry of `files`, a configuration, a manifest, in an OCI
 * image layout on disk that other tools read (`skopeo inspect oci:DIRECTORY:TAG`).
 */
import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { BelayError, messageOf } from '../../../domain/errors.ts'
import { Image } from '../../../domain/step.ts'
import type { PackImage } from '../../../domain/plan.ts'
import { writeFileDurably } from '../../../process/durable-file.ts'
import { createRegistryClient } from '../../../registry/create-registry-client.ts'
import type { BuildImageInput, Builder } from '../builder.ts'
import { keepBlob, temporaryBlob, verifyBlob, writeBlob } from './blobs.ts'
import { collectFiles } from './collect-files.ts'
import { architectureOf, imageConfig, imageManifest, mediaTypes, type PackedLayer } from './image-config.ts'
import { addToIndex } from './image-index.ts'
import { pushImage } from './push.ts'
import { sbomOf } from './sbom.ts'
import { writeLayer } from './write-layer.ts'

export const pack: Builder = {
  name: 'pack',
  findObstacle: () => Promise.resolve(undefined),
  async build({ build, ...input }) {
    if (build.builder !== 'pack') throw new BelayError({ code: 'internal', message: `pack was asked for ${build.builder}` })
    try {
      return await buildImage({ ...input, build })
    } catch (error) {
      throw toBelayError(error, input.signal)
    }
  },
}

type PackInput = BuildImageInput<PackImage>

async function buildImage(input: PackInput): Promise<Image> {
  const { build, images, log, signal, registry } = input
  checkName(build.repository)
  const name = build.repository.split('/').slice(1).join('/')
  if (registry !== undefined && name === '') throw noName(build.repository)
  for (const tag of build.tags) checkTag(tag)
  const layout = join(images, build.repository)
  await mkdir(layout, { recursive: true, mode: 0o700 })

  const layers: PackedLayer[] = []
  for (const [from, to] of Object.entries(build.files)) {
    signal.throwIfAborted()
    layers.push(await packLayer({ ...input, layout, from, to }))
  }
  const configText = imageConfig(build, layers, architectureOf(process.arch))
  const config = {
    mediaType: mediaTypes.config,
    digest: await writeBlob(layout, configText),
    size: Buffer.byteLength(configText),
  }
  const manifestText = imageManifest(config, layers)
  const digest = await writeBlob(layout, manifestText)

  for (const blob of [...layers.map((layer) => layer.digest), config.digest, digest]) await verifyBlob(layout, blob)
  const image = { mediaType: mediaTypes.manifest, digest, size: Buffer.byteLength(manifestText) }
  await addToIndex({ layout, image, tags: build.tags, signal })
  const sbom = sbomOf({ build, digest, layers })
  await mkdir(join(layout, 'sbom'), { recursive: true, mode: 0o700 })
  const sbomFile = join('sbom', `${digest.slice('sha256:'.length)}.spdx.json`)
  writeFileDurably(join(layout, sbomFile), sbom)
  log(`files listed in ${sbomFile}`)
  if (registry !== undefined) {
    const client = createRegistryClient(registry, { signal, log })
    const blobs = [
      ...layers.map((layer) => ({ mediaType: mediaTypes.layer, digest: layer.digest, size: layer.sizeBytes })),
      config,
    ]
    await pushImage({ client, name, layout, image, blobs, tags: build.tags, sbom, log })
  }
  log(`image ${build.repository}@${digest}${build.tags.map((tag) => `, tagged ${tag}`).join('')}`)
  return { repository: build.repository, digest, ...(registry === undefined ? {} : { registry: registry.name }) }
}

interface LayerRequest extends PackInput {
  layout: string
  from: string
  to: string
}

async function packLayer({ build, workspace, layout, from, to, log, signal }: LayerRequest): Promise<PackedLayer> {
  const entries = await collectFiles({ workspace, from, to })
  const file = await temporaryBlob(layout)
  try {
    const layer = await writeLayer({ workspace, entries, owner: build.user ?? 0, file, signal })
    await keepBlob(layout, file, layer.digest)
    const files = entries.filter((entry) => entry.type === 'file').length
    log(`layer ${from} -> ${to}: ${String(files)} files, ${String(layer.sizeBytes)} bytes, ${layer.digest}`)
    return { ...layer, from, to }
  } finally {
    await rm(file, { force: true })
  }
}

function checkName(repository: string): void {
  // A layout keeps its blobs in `blobs/`; another layout must not lie in there.
  const parts = repository.split('/')
  if (Image.shape.repository.safeParse(repository).success && !parts.slice(1).includes('blobs')) return
  throw new BelayError({
    code: 'refused',
    message: `${JSON.stringify(repository)} is not a name for images`,
    hint: 'Use lower-case letters and digits, separated by "/", ".", "_" or "-"; no part after the first may be "blobs".',
  })
}

function noName(repository: string): BelayError {
  return new BelayError({
    code: 'refused',
    message: `${JSON.stringify(repository)} names a registry and nothing in it`,
    hint: 'Write the registry and then the name of the image, as in "main/shop/app".',
  })
}

function checkTag(tag: string): void {
  if (/^\w[\w.-]{0,127}$/.test(tag)) return
  throw new BelayError({
    code: 'refused',
    message: `${JSON.stringify(tag)} is not a tag`,
    hint: 'A tag has at most 128 letters, digits, "_", "." and "-", and begins with none of the last two.',
  })
}

function toBelayError(error: unknown, signal: AbortSignal): BelayError {
  if (error instanceof BelayError) return error
  const stopped = signal.aborted
  return new BelayError({
    code: 'unavailable',
    message: stopped ? 'the build was stopped' : `cannot build the image: ${messageOf(error)}`,
    ...(stopped ? {} : { hint: 'Is there room on the disk, and may this process write there?' }),
    retryable: true,
    cause: error,
  })
}
