/** What is in an image, as an SPDX 2.3 document: every file with its digest. The same image gives the same document. */
import { createHash } from 'node:crypto'
import type { PackImage } from '../../../domain/plan.ts'
import type { PackedLayer } from './image-config.ts'
import type { LayerFile } from './write-layer.ts'

export const sbomType = 'application/spdx+json'

/** Serialised. `digest`: of the image's manifest. */
export function sbomOf({ build, digest, layers }: { build: PackImage; digest: string; layers: readonly PackedLayer[] }): string {
  const revision = build.labels['org.opencontainers.image.revision']
  const files = layers.flatMap((layer) => layer.files)
  const ids = files.map((_, index) => `SPDXRef-File-${String(index + 1)}`)
  return JSON.stringify({
    spdxVersion: 'SPDX-2.3',
    dataLicense: 'CC0-1.0',
    SPDXID: 'SPDXRef-DOCUMENT',
    name: build.repository,
    documentNamespace: `urn:belay:image:${digest}`,
    // Time has no place in what is to be the same tomorrow.
    creationInfo: { created: '1970-01-01T00:00:00Z', creators: ['Tool: belay-pack'] },
    packages: [
      {
        SPDXID: 'SPDXRef-Image',
        name: build.repository,
        ...(revision === undefined ? {} : { versionInfo: revision }),
        downloadLocation: 'NOASSERTION',
        filesAnalyzed: true,
        packageVerificationCode: { packageVerificationCodeValue: verificationCode(files) },
        checksums: [{ algorithm: 'SHA256', checksumValue: digest.slice('sha256:'.length) }],
      },
    ],
    files: files.map(({ name, sha1, sha256 }, index) => ({
      SPDXID: ids[index],
      fileName: `./${name}`,
      checksums: [
        { algorithm: 'SHA1', checksumValue: sha1 },
        { algorithm: 'SHA256', checksumValue: sha256 },
      ],
    })),
    relationships: [
      { spdxElementId: 'SPDXRef-DOCUMENT', relationshipType: 'DESCRIBES', relatedSpdxElement: 'SPDXRef-Image' },
      ...ids.map((id) => ({ spdxElementId: 'SPDXRef-Image', relationshipType: 'CONTAINS', relatedSpdxElement: id })),
    ],
  })
}

/** SPDX 2.3, section 7.9. */
function verificationCode(files: readonly LayerFile[]): string {
  const sorted = files.map(({ sha1 }) => sha1).sort()
  return createHash('sha1').update(sorted.join('')).digest('hex')
}
