/** The two JSON documents of an image, as pure data. Format: OCI image specification 1.1. */
import type { PackImage } from '../../../domain/plan.ts'
import type { Descriptor } from '../../../registry/registry.ts'
import type { WrittenLayer } from './write-layer.ts'

export const mediaTypes = {
  index: 'application/vnd.oci.image.index.v1+json',
  manifest: 'application/vnd.oci.image.manifest.v1+json',
  config: 'application/vnd.oci.image.config.v1+json',
  layer: 'application/vnd.oci.image.layer.v1.tar+gzip',
} as const

export interface PackedLayer extends WrittenLayer {
  from: string
  to: string
}

/** Time has no place in an image whose digest is to be the same tomorrow. */
const created = '1970-01-01T00:00:00Z'

/** Serialised: the blob's bytes. `os` is always linux: a layer of files knows no other. */
export function imageConfig(build: PackImage, layers: readonly PackedLayer[], architecture: string): string {
  return JSON.stringify({
    created,
    architecture,
    os: 'linux',
    config: {
      ...(build.user === undefined ? {} : { User: String(build.user) }),
      Env: ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'],
      Entrypoint: build.entrypoint,
      ...(Object.keys(build.labels).length === 0 ? {} : { Labels: sorted(build.labels) }),
    },
    rootfs: { type: 'layers', diff_ids: layers.map((layer) => layer.diffId) },
    history: layers.map(({ from, to }) => ({ created, created_by: `belay pack ${from} ${to}` })),
  })
}

export function imageManifest(config: Descriptor, layers: readonly PackedLayer[]): string {
  return JSON.stringify({
    schemaVersion: 2,
    mediaType: mediaTypes.manifest,
    config,
    layers: layers.map(({ digest, sizeBytes }) => ({ mediaType: mediaTypes.layer, digest, size: sizeBytes })),
  })
}

/** Node's name of this machine's processor → Go's, which images use. */
export function architectureOf(arch: string): string {
  const names: Record<string, string> = { x64: 'amd64', ia32: '386', ppc64: 'ppc64le', mipsel: 'mipsle' }
  return names[arch] ?? arch
}

function sorted(labels: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1)))
}
