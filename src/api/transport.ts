/** One HTTP request to a Belay server, and what its refusals mean here. */
import { BelayError, messageOf } from '../domain/errors.ts'
import { Problem } from './problem.ts'

export interface ClientOptions {
  /** Base URL of the server, e.g. `http://127.0.0.1:8080`. */
  url: string
  token: string
  fetch?: typeof fetch
}

export interface RequestOptions {
  method?: string
  path: string
  query?: Readonly<Record<string, string | number | undefined>>
  body?: unknown
  headers?: Readonly<Record<string, string>>
  signal?: AbortSignal | undefined
}

/** Sends and gets a good answer; else throws the `BelayError` that the server named, or `unavailable` if none answers. */
export type Transport = (request: RequestOptions) => Promise<Response>

export function createTransport(options: ClientOptions): Transport {
  const send = options.fetch ?? fetch
  return async (request) => {
    const response = await reach(options.url, () =>
      send(urlOf(options.url, request), {
        method: request.method ?? 'GET',
        headers: {
          authorization: `Bearer ${options.token}`,
          ...(request.body === undefined ? {} : { 'content-type': 'application/json' }),
          ...request.headers,
        },
        ...(request.body === undefined ? {} : { body: JSON.stringify(request.body) }),
        ...(request.signal === undefined ? {} : { signal: request.signal }),
      }),
    )
    if (!response.ok) throw await refusalOf(response)
    return response
  }
}

/** `unavailable` for everything that kept an answer from coming, but for the caller's own abort. */
export async function reach<T>(url: string, call: () => Promise<T>): Promise<T> {
  try {
    return await call()
  } catch (error) {
    if (error instanceof Error && error.name === 'AbortError') throw error
    throw new BelayError({
      code: 'unavailable',
      message: `cannot reach the server at ${url}: ${reasonOf(error)}`,
      hint: 'Is it running (`belay up`), and is the URL right?',
      retryable: true,
      cause: error,
    })
  }
}

/** `fetch` hides what happened in the cause. */
function reasonOf(error: unknown): string {
  const cause = error instanceof Error && error.cause !== undefined ? error.cause : error
  return messageOf(cause) || String((cause as { code?: unknown }).code)
}

function urlOf(base: string, request: RequestOptions): URL {
  const url = new URL(request.path, base)
  for (const [name, value] of Object.entries(request.query ?? {})) {
    if (value !== undefined) url.searchParams.set(name, String(value))
  }
  return url
}

async function refusalOf(response: Response): Promise<BelayError> {
  const text = await response.text()
  const problem = Problem.safeParse(parseJson(text))
  if (problem.success) {
    const { code, detail, hint } = problem.data
    return new BelayError({ code, message: detail, retryable: response.status === 503, ...(hint === undefined ? {} : { hint }) })
  }
  return new BelayError({
    code: response.status >= 500 ? 'unavailable' : 'refused',
    message: `the server answered ${String(response.status)} ${response.statusText}`,
    hint: 'Is this the URL of a Belay server, or of something in front of it?',
    retryable: response.status >= 500,
  })
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    // Not one of our documents: the status alone tells.
    return undefined
  }
}
