/** Brings an image from its layout on disk to a registry: blobs first, the manifest by digest, then its tags, then its SBOM. */
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { readFile } from 'node:fs/promises'
import type { Descriptor, RegistryClient } from '../../../registry/registry.ts'
import { blobPath } from './blobs.ts'
import { mediaTypes } from './image-config.ts'
import { sbomType } from './sbom.ts'

export interface PushInput {
  client: RegistryClient
  /** Name of the image in the registry. */
  name: string
  layout: string
  /** Of the image's manifest. */
  image: Descriptor
  /** What the manifest names. */
  blobs: readonly Descriptor[]
  tags: readonly string[]
  sbom: string
  log(line: string): void
}

/** Twice: what is there is not sent again. Whole or without any tag that means it; resolves once the registry gives it back. */
export async function pushImage(input: PushInput): Promise<void> {
  const { client, name, layout, image, log } = input
  for (const { digest, size } of input.blobs) {
    const open = (offset: number): AsyncIterable<Uint8Array> => createReadStream(blobPath(layout, digest), { start: offset })
    log(`${await client.pushBlob(name, { digest, size, open })}: ${digest}, ${String(size)} bytes`)
  }
  const manifest = { mediaType: image.mediaType, bytes: await readFile(blobPath(layout, image.digest)) }
  for (const reference of [image.digest, ...input.tags]) await client.pushManifest(name, reference, manifest)
  await pushSbom(input)
}

/** As an artifact that names the image as its subject; found by its tag, too, in registries that know of no subjects. */
async function pushSbom({ client, name, image, sbom, log }: PushInput): Promise<void> {
  const tag = `${image.digest.replace(':', '-')}.sbom`
  const content = await pushText(client, name, { mediaType: sbomType, text: sbom })
  const empty = await pushText(client, name, { mediaType: 'application/vnd.oci.empty.v1+json', text: '{}' })
  const manifest = {
    schemaVersion: 2,
    mediaType: mediaTypes.manifest,
    artifactType: sbomType,
    config: empty,
    layers: [content],
    subject: image,
  }
  await client.pushManifest(name, tag, { mediaType: mediaTypes.manifest, bytes: Buffer.from(JSON.stringify(manifest)) })
  log(`SBOM ${content.digest}, tagged ${tag}`)
}

async function pushText(
  client: RegistryClient,
  name: string,
  { mediaType, text }: { mediaType: string; text: string },
): Promise<Descriptor> {
  const bytes = Buffer.from(text)
  const digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}`
  await client.pushBlob(name, { digest, size: bytes.length, open: (offset) => oneChunk(bytes.subarray(offset)) })
  return { mediaType, digest, size: bytes.length }
}

async function* oneChunk(bytes: Buffer): AsyncGenerator<Uint8Array> {
  yield await Promise.resolve(bytes)
}
