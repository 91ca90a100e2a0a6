/** One HTTP request to the server, and what its refusals mean. */
import { z } from 'zod'
import { BelayError, errorCodes, type ErrorCode } from '../domain/errors.ts'
import { limitedSignal } from '../process/limited-signal.ts'

export interface RequestInput {
  url: URL
  token: string
  method?: 'GET' | 'POST' | 'PUT'
  json?: unknown
  body?: Uint8Array | AsyncIterable<Uint8Array>
  signal?: AbortSignal | undefined
  /** A stream of any length: no limit in time but the signal. */
  unhurried?: boolean
}

const requestTimeoutMs = 15_000

/** Throws `unavailable` (retryable) if there was no answer; whatever answer there was is returned. */
export async function sendRequest(input: RequestInput): Promise<Response> {
  const signal = input.unhurried === true ? input.signal : limitedSignal(requestTimeoutMs, input.signal)
  const contentType =
    input.json !== undefined ? 'application/json' : input.body !== undefined ? 'application/octet-stream' : undefined
  const body = input.json !== undefined ? JSON.stringify(input.json) : input.body
  try {
    return await fetch(input.url, {
      method: input.method ?? 'GET',
      headers: { authorization: `Bearer ${input.token}`, ...(contentType === undefined ? {} : { 'content-type': contentType }) },
      ...(signal === undefined ? {} : { signal }),
      redirect: 'error',
      // A body that is a stream needs `duplex`.
      ...(body === undefined ? {} : { body, duplex: 'half' as const }),
    })
  } catch (error) {
    throw new BelayError({
      code: 'unavailable',
      message: `the server does not answer at ${input.url.pathname}`,
      hint: 'The runner tries again by itself.',
      retryable: true,
      cause: error,
    })
  }
}

/** Throws for everything but a 2xx. */
export async function requireOk(response: Response): Promise<Response> {
  if (response.ok) return response
  throw errorFromAnswer(response, await readText(response))
}

export async function readJson<T>(response: Response, schema: z.ZodType<T>): Promise<T> {
  const parsed = schema.safeParse(parseJson(await readText(response)))
  if (parsed.success) return parsed.data
  throw unavailable(`the server answered ${pathOf(response)} with something else than agreed`, parsed.error)
}

/** The text of a body; a connection that breaks in it counts as no answer. */
export async function readText(response: Response): Promise<string> {
  try {
    return await response.text()
  } catch (error) {
    throw unavailable(`the server's answer to ${pathOf(response)} broke off`, error)
  }
}

const Problem = z.object({
  code: z.string().optional(),
  title: z.string().optional(),
  detail: z.string().optional(),
  hint: z.string().optional(),
})

export function errorFromAnswer(response: Response, text: string): BelayError {
  const problem = Problem.safeParse(parseJson(text)).data ?? {}
  const code = codeOf(response.status, problem.code)
  const said = problem.detail ?? problem.title ?? `HTTP ${String(response.status)}`
  return new BelayError({
    code,
    message: `the server said no to ${pathOf(response)}: ${said}`,
    ...(problem.hint === undefined ? {} : { hint: problem.hint }),
    retryable: code === 'unavailable' || code === 'rate_limited',
  })
}

/** The code that the server names; a fault of its own is never ours, so 5xx always means "later". */
function codeOf(status: number, named: string | undefined): ErrorCode {
  if (status === 429) return 'rate_limited'
  if (status >= 500) return 'unavailable'
  if (named !== undefined && isErrorCode(named)) return named
  if (status === 401) return 'unauthenticated'
  if (status === 403) return 'forbidden'
  if (status === 404) return 'not_found'
  if (status === 409) return 'conflict'
  if (status === 413) return 'too_large'
  return 'refused'
}

function isErrorCode(text: string): text is ErrorCode {
  return Object.hasOwn(errorCodes, text)
}

export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    // Not JSON (a proxy's error page): the caller's schema says no to it.
    return undefined
  }
}

function pathOf(response: Response): string {
  return URL.canParse(response.url) ? new URL(response.url).pathname : 'a request'
}

function unavailable(message: string, cause: unknown): BelayError {
  return new BelayError({ code: 'unavailable', message, retryable: true, cause })
}
