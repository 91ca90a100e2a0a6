/** Writes OCI image layouts by hand, honest or not: what a builder would never make can be made here. */
import { createHash } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { gzipSync } from 'node:zlib'
import { pack, type Header } from 'tar-stream'

export type TarEntry = Partial<Header> & { name: string; content?: string }

export interface ImageOptions {
  layout: string
  layers: TarEntry[][]
  config?: { Entrypoint?: string[]; Cmd?: string[]; Env?: string[]; User?: string; WorkingDir?: string }
  gzip?: boolean
  layerMediaType?: string
}

/** Returns the manifest's digest. */
export async function writeImage(options: ImageOptions): Promise<string> {
  const { layout, config = { Entrypoint: ['node', '/app/app.cjs'] }, gzip = false } = options
  const layers = await Promise.all(
    options.layers.map(async (entries) => {
      const tar = await writeTar(entries)
      const mediaType = options.layerMediaType ?? `application/vnd.oci.image.layer.v1.tar${gzip ? '+gzip' : ''}`
      return writeBlob(layout, gzip ? gzipSync(tar) : tar, mediaType)
    }),
  )
  const configBytes = Buffer.from(
    JSON.stringify({ architecture: 'amd64', os: 'linux', config, rootfs: { type: 'layers', diff_ids: [] } }),
  )
  const manifest = {
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    config: writeBlob(layout, configBytes, 'application/vnd.oci.image.config.v1+json'),
    layers,
  }
  return writeBlob(layout, Buffer.from(JSON.stringify(manifest)), manifest.mediaType).digest
}

export function blobFile(layout: string, digest: string): string {
  return `${layout}/blobs/sha256/${digest.slice('sha256:'.length)}`
}

export async function writeTar(entries: readonly TarEntry[]): Promise<Buffer> {
  const tar = pack()
  for (const { content, ...header } of entries) tar.entry(header, content ?? '')
  tar.finalize()
  const chunks: Buffer[] = []
  for await (const chunk of tar as AsyncIterable<Buffer>) chunks.push(chunk)
  return Buffer.concat(chunks)
}

function writeBlob(layout: string, bytes: Buffer, mediaType: string) {
  const digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}`
  mkdirSync(`${layout}/blobs/sha256`, { recursive: true })
  writeFileSync(blobFile(layout, digest), bytes)
  return { mediaType, digest, size: bytes.length }
}
