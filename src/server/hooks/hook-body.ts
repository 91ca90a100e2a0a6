/** The body of a delivery: which content types are taken, and what is in them. */
import { BelayError } from '../../domain/errors.ts'

export type BodyForm = 'json' | 'form'

/** JSON, or GitHub's form encoding. Throws `unsupported_media_type`. */
export function parseContentType(header: string | undefined): BodyForm {
  const type = header?.split(';')[0]?.trim().toLowerCase()
  if (type === 'application/json') return 'json'
  if (type === 'application/x-www-form-urlencoded') return 'form'
  throw new BelayError({
    code: 'unsupported_media_type',
    message: `a delivery is JSON, not ${type === undefined || type === '' ? 'untyped' : JSON.stringify(type)}`,
    hint: "Choose `application/json` in the webhook's settings.",
  })
}

/** The JSON document in the body. Throws `invalid_input`. */
export function parseHookBody(body: Buffer, form: BodyForm): unknown {
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(body)
    return JSON.parse(form === 'json' ? text : (new URLSearchParams(text).get('payload') ?? '')) as unknown
  } catch (error) {
    throw new BelayError({ code: 'invalid_input', message: 'the body is signed, but it is not JSON', cause: error })
  }
}
