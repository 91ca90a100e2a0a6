/**
 * Reads an image out of an OCI image layout on disk (image-spec v1.1, image-layout.md), by digest. Nothing read from it is
 * believed before its own digest was checked.
 */
import { createHash } from 'node:crypto'
import { open, readFile } from 'node:fs/promises'
import { z } from 'zod'
import { BelayError } from '../../../domain/errors.ts'
import { Digest } from '../../../domain/step.ts'

const Descriptor = z.object({ mediaType: z.string(), digest: Digest, size: z.number().int().nonnegative() })
export type Descriptor = z.infer<typeof Descriptor>

const Manifest = z.object({ schemaVersion: z.literal(2), config: Descriptor, layers: z.array(Descriptor).max(500) })

const Config = z.object({
  config: z
    .object({
      Entrypoint: z.array(z.string()).nullish(),
      Cmd: z.array(z.string()).nullish(),
      Env: z.array(z.string()).nullish(),
      User: z.string().nullish(),
      WorkingDir: z.string().nullish(),
    })
    .nullish(),
})

export interface ImageContent {
  /** Entrypoint and arguments. */
  command: string[]
  env: Record<string, string>
  user?: { uid: number; gid: number }
  /** Absolute, inside the image. */
  workingDirectory: string
  layers: Descriptor[]
}

/** Throws `not_found` (no such image), `mismatch` (bytes of another digest), `refused` (not something we can start). */
export async function readImage(layout: string, digest: string): Promise<ImageContent> {
  const manifest = parseManifest(await readBlob(layout, digest))
  const { config } = parse(Config, await readBlob(layout, manifest.config.digest), 'configuration')
  const command = [...(config?.Entrypoint ?? []), ...(config?.Cmd ?? [])]
  if (command.length === 0) throw refused('it names no entrypoint')
  const user = parseUser(config?.User ?? '')
  return {
    command,
    env: Object.fromEntries((config?.Env ?? []).map(splitAssignment)),
    ...(user === undefined ? {} : { user }),
    workingDirectory: config?.WorkingDir || '/',
    layers: manifest.layers,
  }
}

/** Throws `refused` for what is none of an image that can be started here, an index for one. */
export function parseManifest(bytes: Buffer): z.infer<typeof Manifest> {
  return parse(Manifest, bytes, 'manifest')
}

/** The bytes of a blob as a stream that fails with `mismatch` at its end if they are not the blob's. */
export async function* streamBlob(layout: string, { digest, size }: Descriptor): AsyncGenerator<Buffer, void, undefined> {
  const hash = createHash('sha256')
  let read = 0
  const file = await open(blobPath(layout, digest)).catch((error: unknown) => {
    throw notFound(layout, digest, error)
  })
  for await (const chunk of file.createReadStream() as AsyncIterable<Buffer>) {
    hash.update(chunk)
    read += chunk.length
    yield chunk
  }
  if (read !== size || `sha256:${hash.digest('hex')}` !== digest) throw mismatch(digest)
}

const blobLimit = 4 * 1024 * 1024

async function readBlob(layout: string, digest: string): Promise<Buffer> {
  const bytes = await readFile(blobPath(layout, digest)).catch((error: unknown) => {
    throw notFound(layout, digest, error)
  })
  if (bytes.length > blobLimit) throw refused(`${digest} is larger than 4 MiB`)
  if (`sha256:${createHash('sha256').update(bytes).digest('hex')}` !== digest) throw mismatch(digest)
  return bytes
}

export function blobPath(layout: string, digest: string): string {
  return `${layout}/blobs/sha256/${Digest.parse(digest).slice('sha256:'.length)}`
}

function parse<T>(schema: z.ZodType<T>, bytes: Buffer, what: string): T {
  try {
    return schema.parse(JSON.parse(bytes.toString('utf8')))
  } catch (error) {
    throw new BelayError({ code: 'refused', message: `the image's ${what} is not one of an OCI image`, cause: error })
  }
}

/** `UID` or `UID:GID`. Names would have to be looked up in the image's own /etc/passwd. */
function parseUser(text: string): { uid: number; gid: number } | undefined {
  if (text === '') return undefined
  const numbers = /^(\d{1,10})(?::(\d{1,10}))?$/.exec(text)
  if (numbers === null) throw refused(`its user ${JSON.stringify(text)} is not a number`)
  return { uid: Number(numbers[1]), gid: Number(numbers[2] ?? numbers[1]) }
}

function splitAssignment(text: string): [string, string] {
  const at = text.indexOf('=')
  return at === -1 ? [text, ''] : [text.slice(0, at), text.slice(at + 1)]
}

function notFound(layout: string, digest: string, cause: unknown): BelayError {
  return new BelayError({
    code: 'not_found',
    message: `there is no ${digest} in ${layout}`,
    hint: 'Was the image removed? Build it again.',
    cause,
  })
}

function refused(why: string): BelayError {
  return new BelayError({ code: 'refused', message: `the image cannot be started: ${why}` })
}

function mismatch(digest: string): BelayError {
  return new BelayError({
    code: 'mismatch',
    message: `what lies under ${digest} has another digest`,
    hint: 'The image was damaged or changed. Build it again.',
  })
}
