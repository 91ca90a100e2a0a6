/** What Temporal's client throws, in our words. Decided by type and code, never by text. */
import {
  isGrpcServiceError,
  ServiceError,
  WorkflowUpdateFailedError,
  WorkflowUpdateRPCTimeoutOrCancelledError,
} from '@temporalio/client'
import { ApplicationFailure } from '@temporalio/common'
import { BelayError, errorCodes, messageOf, type ErrorCode } from '../domain/errors.ts'

/**
 * gRPC status codes (grpc.io, "Status codes and their use"): cancelled, deadline exceeded, resource exhausted, failed precondition
 * (a workflow that just then closes, starts again or fails a task), aborted, unavailable.
 */
const grpcPassing = new Set([1, 4, 8, 9, 10, 14])

/** How Temporal itself fails an update that was accepted and whose workflow closed before it was done. */
const cutShort = 'AcceptedUpdateCompletedWorkflow'

/** Everything that may pass is `unavailable`; a workflow's refusal keeps its own code and hint. */
export function fromTemporal(error: unknown): BelayError {
  if (error instanceof BelayError) return error
  if (error instanceof WorkflowUpdateFailedError) return fromFailure(error)
  if (error instanceof WorkflowUpdateRPCTimeoutOrCancelledError || isPassing(error)) {
    return new BelayError({
      code: 'unavailable',
      message: 'Temporal, or the worker behind it, did not answer in time',
      hint: 'Is a control worker running? The same request may be sent again.',
      retryable: true,
      cause: error,
    })
  }
  return new BelayError({ code: 'internal', message: `Temporal refused: ${messageOf(causeOf(error))}`, cause: error })
}

function isPassing(error: unknown): boolean {
  const code = grpcCodeOf(error)
  return code === undefined ? error instanceof ServiceError : grpcPassing.has(code)
}

function grpcCodeOf(error: unknown): number | undefined {
  if (isGrpcServiceError(error)) return error.code
  return error instanceof Error && isGrpcServiceError(error.cause) ? error.cause.code : undefined
}

/** The client's own words are general, what gRPC said is beneath. */
function causeOf(error: unknown): unknown {
  return error instanceof Error && isGrpcServiceError(error.cause) ? error.cause : error
}

/** Only a failure that the workflow's own code threw is its answer; with any other it has ended, or was ended, before it gave one. */
function fromFailure(error: WorkflowUpdateFailedError): BelayError {
  const failure = error.cause
  if (!(failure instanceof ApplicationFailure) || failure.type === cutShort) {
    return new BelayError({
      code: 'unavailable',
      message: `the workflow ended before it had answered: ${messageOf(failure ?? error)}`,
      hint: 'The same request may be sent again.',
      retryable: true,
      cause: error,
    })
  }
  const hint = hintOf(failure.details)
  return new BelayError({
    code: isErrorCode(failure.type) ? failure.type : 'refused',
    message: failure.message,
    cause: error,
    ...(hint === undefined ? {} : { hint }),
  })
}

function isErrorCode(type: string | null | undefined): type is ErrorCode {
  return typeof type === 'string' && Object.hasOwn(errorCodes, type)
}

/** As `toApplicationFailure` packs it. */
function hintOf(details: unknown[] | null | undefined): string | undefined {
  const first = details?.[0]
  if (typeof first !== 'object' || first === null || !('hint' in first)) return undefined
  return typeof first.hint === 'string' ? first.hint : undefined
}
