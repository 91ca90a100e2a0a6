/** A registry of images, spoken to by the OCI distribution protocol (opencontainers/distribution-spec 1.1). */

/** Where a registry is and who we are there. Held in memory only; the password is never logged, thrown or stored. */
export interface RegistryAccess {
  /** The operator's name for it. */
  name: string
  /** Base URL, https; http is accepted for loopback hosts only. */
  url: string
  username?: string
  password?: string
}

export interface Descriptor {
  mediaType: string
  digest: string
  /** Bytes. */
  size: number
}

export interface Manifest extends Descriptor {
  bytes: Buffer
}

/**
 * One registry. Every call is bounded: refused, reset, silent, cut off, 429 (its `Retry-After` honoured) and 5xx are tried
 * again with backoff until the attempts or the time are used up, then `unavailable`, retryable. 401 and 403: `refused`, with
 * a hint that names the registry's configuration. Bytes whose digest is another one than asked for or promised: `mismatch`,
 * not retryable, and nothing of them is kept. Aborted: throws the signal's reason at once. All calls may be made at once and
 * repeated at any time.
 */
export interface RegistryClient {
  /** By tag or digest, with the `Accept` of image manifests and indexes; the digest is computed from the bytes that came. */
  findManifest(repository: string, reference: string): Promise<Manifest | undefined>
  hasBlob(repository: string, digest: string): Promise<boolean>
  /** Uploads unless it is there; mounts it from `mountFrom` where the registry can; a cut upload is resumed where it ended. */
  pushBlob(repository: string, blob: PushBlob): Promise<'there' | 'mounted' | 'uploaded'>
  /** Puts the manifest, then reads it back: resolves only if the registry now gives these very bytes under this digest. */
  pushManifest(repository: string, reference: string, manifest: { mediaType: string; bytes: Buffer }): Promise<Descriptor>
  /** The blob's bytes; the stream errors with `mismatch` at its end if they are not the digest's. Throws `not_found`. */
  readBlob(repository: string, digest: string): Promise<AsyncIterable<Uint8Array>>
}

export interface PushBlob {
  digest: string
  /** Bytes. */
  size: number
  /** The bytes from this offset on; called again when an upload is resumed or begun again. */
  open(offset: number): AsyncIterable<Uint8Array>
  /** Another repository of the same registry that may have it. */
  mountFrom?: string
}
