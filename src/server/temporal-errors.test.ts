import { ServiceError, WorkflowUpdateFailedError } from '@temporalio/client'
import { ApplicationFailure, CancelledFailure } from '@temporalio/common'
import { describe, expect, it } from 'vitest'
import { fromTemporal } from './temporal-errors.ts'

/** As grpc-js throws it. */
function grpcError(code: number, text: string): Error {
  return Object.assign(new Error(`${String(code)} ${text}`), { code, details: text, metadata: {} })
}

describe('what Temporal throws', () => {
  it.each([4, 8, 9, 10, 14])('gRPC code %i may pass: unavailable, to be sent again', (code) => {
    const thrown = fromTemporal(new ServiceError('Workflow Update failed', { cause: grpcError(code, 'not now') }))
    expect(thrown).toMatchObject({ code: 'unavailable', retryable: true })
  })

  it('anything else is internal, with the words of gRPC', () => {
    const thrown = fromTemporal(new ServiceError('Workflow Update failed', { cause: grpcError(3, 'bad argument') }))
    expect(thrown).toMatchObject({ code: 'internal', message: 'Temporal refused: 3 bad argument' })
  })

  it.each([
    [
      'an update that its workflow accepted and ended before',
      ApplicationFailure.nonRetryable('the Workflow completed', 'AcceptedUpdateCompletedWorkflow'),
    ],
    ['an update whose workflow was cancelled', new CancelledFailure('cancelled')],
    ['an update that failed without a cause', undefined],
  ])('%s says nothing of the request: unavailable, to be sent again', (_, cause) => {
    const thrown = fromTemporal(new WorkflowUpdateFailedError('Workflow Update failed', cause))
    expect(thrown).toMatchObject({ code: 'unavailable', retryable: true, hint: 'The same request may be sent again.' })
  })

  it('a refusal of a workflow keeps its code and hint', () => {
    const failure = ApplicationFailure.nonRetryable('no such release', 'not_found', { hint: 'look at them' })
    const thrown = fromTemporal(new WorkflowUpdateFailedError('Workflow Update failed', failure))
    expect(thrown).toMatchObject({ code: 'not_found', message: 'no such release', hint: 'look at them' })
  })
})
