import { createHash } from 'node:crypto'
import { BelayError } from '../domain/errors.ts'
import { readAll, toFault, type Answer } from './exchange.ts'
import { Fault } from './fault.ts'
import { defaultLimits, insist, type Limits } from './insist.ts'
import { createRegistrySession } from './registry-session.ts'
import type { Descriptor, Manifest, PushBlob, RegistryAccess, RegistryClient } from './registry.ts'
import { unexpected, uploadBlob, type Upload } from './upload-blob.ts'

export interface RegistryClientOptions {
  /** Ends everything at once. */
  signal: AbortSignal
  /** Told why something is tried again. */
  log?(line: string): void
  limits?: Partial<Limits>
}

/** Without it a registry may answer with another manifest, and so another digest, than the one that was pushed. */
const manifestTypes = [
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
  'application/vnd.docker.distribution.manifest.v2+json',
].join(', ')

/** The distribution specification lets a registry refuse manifests above this. */
const longestManifest = 4 * 1024 * 1024

/** Throws `refused` for an address that is neither https nor of this machine. */
export function createRegistryClient(access: RegistryAccess, options: RegistryClientOptions): RegistryClient {
  const limits = { ...defaultLimits, ...options.limits }
  const { signal, log = () => undefined } = options
  const session = createRegistrySession(access, { limits, signal })
  const insistOn = <T>(what: string, attempt: () => Promise<T>): Promise<T> =>
    insist({ what, registry: access.name, limits, signal, log }, attempt)

  async function fetchManifest(repository: string, reference: string): Promise<Manifest | undefined> {
    const url = session.urlOf(`/v2/${repository}/manifests/${reference}`)
    const answer = await session.ask({ method: 'GET', url, headers: { accept: manifestTypes } })
    if (answer.status === 404) return drop(answer, undefined)
    if (answer.status !== 200) throw drop(answer, unexpected(`read the manifest ${reference}`, answer))
    const bytes = await readAll(answer.body, longestManifest)
    const digest = digestOf(bytes)
    const promised = reference.startsWith('sha256:') ? reference : answer.headers['docker-content-digest']
    if (promised !== undefined && promised !== digest)
      throw otherBytes(`the manifest ${reference}`, { promised: String(promised), digest })
    const mediaType = (answer.headers['content-type'] ?? '').split(';')[0]?.trim() ?? ''
    return { mediaType, digest, size: bytes.length, bytes }
  }

  async function hasBlob(repository: string, digest: string): Promise<boolean> {
    const answer = await session.ask({ method: 'HEAD', url: session.urlOf(`/v2/${repository}/blobs/${digest}`) })
    answer.body.destroy()
    if (answer.status === 200 || (answer.status >= 300 && answer.status < 400)) return true
    if (answer.status === 404) return false
    throw unexpected(`look for the blob ${digest}`, answer)
  }

  async function putManifest(
    repository: string,
    reference: string,
    manifest: { mediaType: string; bytes: Buffer },
  ): Promise<void> {
    const { mediaType, bytes } = manifest
    const url = session.urlOf(`/v2/${repository}/manifests/${reference}`)
    const body = () => ({ bytes, size: bytes.length })
    const answer = await session.ask({ method: 'PUT', url, headers: { 'content-type': mediaType }, body })
    answer.body.destroy()
    if (answer.status !== 201) throw unexpected(`push the manifest ${reference}`, answer)
  }

  return {
    findManifest: (repository, reference) =>
      insistOn(`read the manifest ${reference} of ${repository}`, () => fetchManifest(repository, reference)),

    hasBlob: (repository, digest) => insistOn(`look for the blob ${digest} of ${repository}`, () => hasBlob(repository, digest)),

    async pushBlob(repository: string, blob: PushBlob) {
      const upload: Upload = {}
      return insistOn(`push the blob ${blob.digest} to ${repository}`, async () => {
        // Also after a cut: its last bytes may have arrived, and the answer not.
        if (await hasBlob(repository, blob.digest)) return 'there'
        return uploadBlob(session, repository, { blob, upload })
      })
    },

    async pushManifest(repository, reference, manifest): Promise<Descriptor> {
      const { mediaType, bytes } = manifest
      const digest = digestOf(bytes)
      return insistOn(`push the manifest ${reference} to ${repository}`, async () => {
        await putManifest(repository, reference, manifest)
        const stored = await fetchManifest(repository, reference)
        if (stored === undefined) throw new Fault('it does not have the manifest that it took')
        if (stored.digest !== digest) throw otherBytes(`the manifest ${reference}`, { promised: digest, digest: stored.digest })
        return { mediaType, digest, size: bytes.length }
      })
    },

    async readBlob(repository, digest) {
      const answer = await insistOn(`read the blob ${digest} of ${repository}`, async () => {
        const url = session.urlOf(`/v2/${repository}/blobs/${digest}`)
        const found = await follow((next) => session.ask({ method: 'GET', url: next }), url)
        if (found.status !== 200) throw drop(found, unexpected(`read the blob ${digest}`, found))
        return found
      })
      return verified(answer, digest)
    },
  }
}

const mostRedirects = 3

/** Blobs may lie elsewhere; the session sends no credentials there. */
async function follow(ask: (url: URL) => Promise<Answer>, url: URL): Promise<Answer> {
  let place = url
  let answer = await ask(place)
  for (let hops = 0; hops < mostRedirects && answer.status >= 300 && answer.status < 400; hops += 1) {
    const { location } = answer.headers
    answer.body.destroy()
    if (location === undefined) throw new Fault('it sent us nowhere')
    place = new URL(location, place)
    answer = await ask(place)
  }
  return answer
}

async function* verified({ body }: Answer, digest: string): AsyncGenerator<Uint8Array> {
  const hash = createHash('sha256')
  try {
    for await (const chunk of body as AsyncIterable<Buffer>) {
      hash.update(chunk)
      yield chunk
    }
  } catch (error) {
    const { message } = toFault(error)
    throw new BelayError({
      code: 'unavailable',
      message: `the blob ${digest} broke off: ${message}`,
      retryable: true,
      cause: error,
    })
  }
  const found = `sha256:${hash.digest('hex')}`
  if (found !== digest) throw otherBytes(`the blob ${digest}`, { promised: digest, digest: found })
}

function digestOf(bytes: Buffer): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`
}

function drop<T>({ body }: Answer, result: T): T {
  body.destroy()
  return result
}

function otherBytes(what: string, { promised, digest }: { promised: string; digest: string }): BelayError {
  return new BelayError({
    code: 'mismatch',
    message: `${what} should have the digest ${promised} and has ${digest}`,
    hint: 'Something between here and the registry changes what is sent, or the registry is damaged. Nothing of it is used.',
  })
}
