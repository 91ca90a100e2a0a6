/**
 * Encrypts what Temporal keeps: AES-256-GCM with a random nonce for each payload. The name of the key is in the metadata, so that
 * keys can be changed; what was written without encryption, or before, is read as it is.
 */
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import type { Payload, PayloadCodec } from '@temporalio/common'
import { BelayError } from '../domain/errors.ts'
import { missingKey, type PayloadKey } from './payload-keys.ts'

const encoding = 'binary/encrypted'
const cipher = 'aes-256-gcm'
const nonceBytes = 12
const tagBytes = 16

export interface CodecOptions {
  /** The first encrypts; none: nothing is encrypted. */
  keys: readonly PayloadKey[]
  /** Called with the name of a key that is not here, before the error is thrown. */
  onMissingKey?: ((id: string) => void) | undefined
}

export function createPayloadCodec({ keys, onMissingKey }: CodecOptions): PayloadCodec {
  const [first] = keys
  return {
    encode: (payloads) => Promise.resolve(first === undefined ? payloads : payloads.map((payload) => encrypt(payload, first))),
    decode: async (payloads) => Promise.resolve(payloads.map(decode)),
  }

  function decode(payload: Payload): Payload {
    const id = keyIdOf(payload)
    if (id === undefined) return payload
    const key = keys.find((candidate) => candidate.id === id)
    if (key !== undefined) return decrypt(payload, key)
    onMissingKey?.(id)
    throw missingKey(id)
  }
}

/** Undefined: we did not encrypt it. */
function keyIdOf({ metadata }: Payload): string | undefined {
  if (metadata?.['encoding'] === undefined || textOf(metadata['encoding']) !== encoding) return undefined
  const id = metadata['belay-key']
  return id === undefined ? undefined : textOf(id)
}

function encrypt(payload: Payload, { id, key }: PayloadKey): Payload {
  const nonce = randomBytes(nonceBytes)
  const sealing = createCipheriv(cipher, key, nonce)
  sealing.setAAD(Buffer.from(id))
  const data = Buffer.concat([nonce, sealing.update(pack(payload)), sealing.final(), sealing.getAuthTag()])
  return { metadata: { encoding: Buffer.from(encoding), 'belay-key': Buffer.from(id) }, data }
}

function decrypt({ data }: Payload, { id, key }: PayloadKey): Payload {
  const bytes = Buffer.from(data ?? [])
  try {
    const opening = createDecipheriv(cipher, key, bytes.subarray(0, nonceBytes))
    opening.setAAD(Buffer.from(id))
    opening.setAuthTag(bytes.subarray(-tagBytes))
    return unpack(Buffer.concat([opening.update(bytes.subarray(nonceBytes, -tagBytes)), opening.final()]))
  } catch (error) {
    throw new BelayError({
      code: 'mismatch',
      message: `a payload that names the key ${id} cannot be opened with it: it was damaged or changed`,
      cause: error,
    })
  }
}

/** The length of the metadata, the metadata as JSON with its values in base64, the data. */
function pack({ metadata, data }: Payload): Buffer {
  const entries = Object.entries(metadata ?? {}).map(([key, value]) => [key, Buffer.from(value).toString('base64')])
  const head = Buffer.from(JSON.stringify(Object.fromEntries(entries)))
  const length = Buffer.alloc(4)
  length.writeUInt32BE(head.length)
  return Buffer.concat([length, head, ...(data ? [data] : [])])
}

function unpack(bytes: Buffer): Payload {
  const end = 4 + bytes.readUInt32BE(0)
  const metadata = JSON.parse(bytes.subarray(4, end).toString('utf8')) as Record<string, string>
  const entries = Object.entries(metadata).map(([key, value]) => [key, Buffer.from(value, 'base64')])
  return { metadata: Object.fromEntries(entries) as Record<string, Buffer>, data: bytes.subarray(end) }
}

function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('utf8')
}
