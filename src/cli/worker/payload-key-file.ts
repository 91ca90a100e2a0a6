import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { BelayError, messageOf } from '../../domain/errors.ts'
import { parsePayloadKeys } from '../../payloads/payload-keys.ts'
import type { Io } from '../io.ts'

/** The keys of a runner, from the file BELAY_PAYLOAD_KEY_FILE, one a line, the first encrypts. Not set: none. Throws `invalid_config`. */
export function readPayloadKeys(io: Pick<Io, 'env' | 'cwd'>): string[] {
  const named = io.env['BELAY_PAYLOAD_KEY_FILE']
  if (!named) return []
  const file = resolve(io.cwd, named)
  const text = readText(file)
  if (parsePayloadKeys([text]).length > 0) return [text]
  throw new BelayError({ code: 'invalid_config', message: `BELAY_PAYLOAD_KEY_FILE: there is no key in ${file}` })
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    throw new BelayError({
      code: 'invalid_config',
      message: `BELAY_PAYLOAD_KEY_FILE cannot be read: ${messageOf(error)}`,
      hint: `The user ${String(process.getuid?.() ?? '')} must be able to read ${file}.`,
      cause: error,
    })
  }
}
