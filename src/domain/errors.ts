/**
 * The one error type, and what each of its codes means at the two edges: HTTP and the command line.
 * Nothing in Belay branches on the text of a message; it branches on `code`.
 */

/** Exit codes of `belay` (GNU style; 0 is good). */
export const exitCodes = {
  runFailed: 1,
  usage: 2,
  rolledBack: 3,
  rollbackFailed: 4,
  unreachable: 5,
  cancelled: 6,
} as const

/** Every code an error may carry: its HTTP status and the exit code of a command that ends with it. */
export const errorCodes = {
  invalid_input: { http: 400, exit: exitCodes.usage },
  invalid_pipeline: { http: 422, exit: exitCodes.usage },
  invalid_config: { http: 422, exit: exitCodes.usage },
  not_yet: { http: 422, exit: exitCodes.usage },
  unauthenticated: { http: 401, exit: exitCodes.usage },
  forbidden: { http: 403, exit: exitCodes.usage },
  not_found: { http: 404, exit: exitCodes.usage },
  method_not_allowed: { http: 405, exit: exitCodes.usage },
  conflict: { http: 409, exit: exitCodes.usage },
  too_large: { http: 413, exit: exitCodes.usage },
  unsupported_media_type: { http: 415, exit: exitCodes.usage },
  range_not_satisfiable: { http: 416, exit: exitCodes.usage },
  rate_limited: { http: 429, exit: exitCodes.unreachable },
  unavailable: { http: 503, exit: exitCodes.unreachable },
  /** A write or a command under an epoch or a fencing number that a newer one has replaced. */
  stale: { http: 409, exit: exitCodes.runFailed },
  /** A part of the set-up is missing on this machine; the hint says how to get it. */
  missing_part: { http: 503, exit: exitCodes.unreachable },
  /** What came back is not what was asked for: a digest, a commit, a release. */
  mismatch: { http: 500, exit: exitCodes.runFailed },
  /** The other side understood and said no; trying again changes nothing. */
  refused: { http: 422, exit: exitCodes.runFailed },
  internal: { http: 500, exit: exitCodes.runFailed },
} as const satisfies Record<string, { http: number; exit: number }>

export type ErrorCode = keyof typeof errorCodes

export interface BelayErrorOptions {
  code: ErrorCode
  message: string
  /** What the reader can do about it, in one sentence. */
  hint?: string
  /** True if the same call may succeed later without anybody changing anything. Default: false. */
  retryable?: boolean
  cause?: unknown
}

export class BelayError extends Error {
  readonly code: ErrorCode
  readonly hint: string | undefined
  readonly retryable: boolean

  constructor(options: BelayErrorOptions) {
    super(options.message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'BelayError'
    this.code = options.code
    this.hint = options.hint
    this.retryable = options.retryable ?? false
  }
}

/** The message of anything that was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

/** Ends a switch over a union: a case that was forgotten is a compile error. */
export function assertNever(value: never): never {
  throw new BelayError({ code: 'internal', message: `unexpected value: ${JSON.stringify(value)}` })
}
