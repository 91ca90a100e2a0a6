import { fileURLToPath } from 'node:url'
import type { DataConverter } from '@temporalio/common'
import { createPayloadCodec, type CodecOptions } from './payload-codec.ts'
import { parsePayloadKeys } from './payload-keys.ts'

/**
 * For every client and worker of ours, with keys or without: one without says which key it lacks. `keys` as `parsePayloadKeys`
 * takes them.
 */
export function createDataConverter(keys: readonly string[], options: Omit<CodecOptions, 'keys'> = {}): DataConverter {
  const parsed = parsePayloadKeys(keys)
  return {
    payloadCodecs: [createPayloadCodec({ ...options, keys: parsed })],
    ...(parsed.length === 0 ? {} : { failureConverterPath: failureConverterPath() }),
  }
}

/** The compiled one, also when run from the sources, as tests are. */
function failureConverterPath(): string {
  const here = fileURLToPath(import.meta.url)
  const place = here.endsWith('.ts') ? '../../dist/src/payloads/failure-converter.js' : './failure-converter.js'
  return fileURLToPath(new URL(place, import.meta.url))
}
