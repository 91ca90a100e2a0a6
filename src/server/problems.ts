/** Errors as RFC 9457 problem documents, and the one place where the server's own faults are logged. */
import { STATUS_CODES } from 'node:http'
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify'
import { hasZodFastifySchemaValidationErrors } from 'fastify-type-provider-zod'
import type { Logger } from 'pino'
import { problemType, type Problem } from '../api/problem.ts'
import { BelayError, errorCodes, type ErrorCode } from '../domain/errors.ts'

/** What a refusal may say beyond its error: another status than its code's, headers, further members. */
export interface Refusal {
  status?: number
  headers?: Readonly<Record<string, string>>
  members?: Readonly<Record<string, unknown>>
}

/** A `BelayError` with its own way of being answered. */
export function refuse(error: BelayError, refusal: Refusal): BelayError & { refusal: Refusal } {
  return Object.assign(error, { refusal })
}

export function createErrorHandler(log: Logger) {
  return (thrown: FastifyError, request: FastifyRequest, reply: FastifyReply): void => {
    const error = toBelayError(thrown)
    const refusal = 'refusal' in error ? (error.refusal as Refusal) : {}
    const status = refusal.status ?? errorCodes[error.code].http
    if (status >= 500) {
      const route = `${request.method} ${request.routeOptions.url ?? 'unknown route'}`
      log.error({ route, code: error.code, cause: describeCause(error) }, error.message)
    }
    if (error.code === 'unavailable') void reply.header('retry-after', '5')
    if (error.code === 'unauthenticated') void reply.header('www-authenticate', 'Bearer')
    const document = { ...problemOf(error, status), ...refusal.members }
    void reply
      .status(status)
      .headers(refusal.headers ?? {})
      .header('content-type', problemType)
      // Past the route's serializer, which knows good answers only.
      .serializer((payload) => JSON.stringify(payload))
      .send(document)
  }
}

function problemOf(error: BelayError, status: number): Problem {
  return {
    type: 'about:blank',
    title: STATUS_CODES[status] ?? 'Error',
    status,
    // What broke inside is for the log, not for the caller.
    detail: error.code === 'internal' ? 'the server could not do it' : error.message,
    code: error.code,
    ...(error.hint === undefined ? {} : { hint: error.hint }),
  }
}

/** Fastify's own refusals, by their codes. */
const frameworkCodes: Readonly<Record<string, ErrorCode>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: 'too_large',
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'unsupported_media_type',
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: 'invalid_input',
  FST_ERR_CTP_EMPTY_JSON_BODY: 'invalid_input',
  FST_ERR_CTP_INVALID_JSON_BODY: 'invalid_input',
  FST_ERR_BAD_URL: 'invalid_input',
}

/** The caller hung up: no fault of ours. */
const brokenOff = new Set(['ECONNRESET', 'ECONNABORTED', 'ERR_STREAM_PREMATURE_CLOSE'])

function toBelayError(error: FastifyError): BelayError {
  if (error instanceof BelayError) return error
  if (hasZodFastifySchemaValidationErrors(error)) {
    const issues = error.validation.map((issue) => `${nameOf(issue.instancePath)}: ${issue.message ?? 'not allowed'}`)
    const where = error.validationContext ?? 'request'
    return new BelayError({ code: 'invalid_input', message: `${where}: ${issues.slice(0, 5).join('; ')}` })
  }
  const code = frameworkCodes[error.code]
  if (code !== undefined) return new BelayError({ code, message: error.message, cause: error })
  if (brokenOff.has(error.code)) return new BelayError({ code: 'invalid_input', message: 'the request broke off', cause: error })
  return new BelayError({ code: 'internal', message: error.message, cause: error })
}

function nameOf(path: string): string {
  return path.replace(/^\//, '').replaceAll('/', '.') || 'all of it'
}

function describeCause(error: BelayError): string | undefined {
  const cause = error.cause
  return cause instanceof Error ? (cause.stack ?? cause.message) : undefined
}
