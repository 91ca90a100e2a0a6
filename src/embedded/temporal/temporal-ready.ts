import { connect } from 'node:net'
import { Connection } from '@temporalio/client'
import { BelayError } from '../../domain/errors.ts'

/** Temporal keeps the histories of closed workflows this long. */
const retentionSeconds = 30 * 24 * 3600

/**
 * Resolves when the namespace answers and keeps what it should. The port opens first, so TCP is tried before gRPC, whose
 * client would wait a second after a refusal. Throws `unavailable` after `timeoutMs`, or when `signal` says it has died.
 */
export async function waitForTemporal(options: {
  address: string
  namespace: string
  timeoutMs: number
  signal?: AbortSignal
  /** False: it is somebody else's, and its settings are left alone. */
  ours?: boolean
}): Promise<void> {
  const deadline = performance.now() + options.timeoutMs
  for (;;) {
    if (await answersTcp(options.address)) {
      try {
        await prepareNamespace(options)
        return
      } catch (error) {
        if (performance.now() > deadline) throw unavailable(options, error)
      }
    }
    if (options.signal?.aborted === true || performance.now() > deadline) throw unavailable(options)
    await new Promise((resolve) => setTimeout(resolve, 25))
  }
}

async function prepareNamespace(options: { address: string; namespace: string; ours?: boolean }): Promise<void> {
  const { address, namespace, ours } = options
  const connection = await Connection.connect({ address, connectTimeout: '1s' })
  try {
    await connection.withDeadline(Date.now() + 2000, async () => {
      await connection.workflowService.countWorkflowExecutions({ namespace, query: "WorkflowType='none'" })
      if (ours === false) return
      const { config } = await connection.workflowService.describeNamespace({ namespace })
      const seconds = config?.workflowExecutionRetentionTtl?.seconds
      if (!seconds?.lessThan(retentionSeconds)) return
      const raised = { seconds: seconds.add(retentionSeconds - seconds.toNumber()) }
      await connection.workflowService.updateNamespace({ namespace, config: { workflowExecutionRetentionTtl: raised } })
    })
  } finally {
    await connection.close()
  }
}

/** Does anybody listen at `host:port`? */
export function answersTcp(address: string): Promise<boolean> {
  const colon = address.lastIndexOf(':')
  return new Promise((resolve) => {
    const socket = connect({ host: address.slice(0, colon).replace(/^\[|\]$/g, ''), port: Number(address.slice(colon + 1)) })
    const settle = (answer: boolean) => {
      socket.destroy()
      resolve(answer)
    }
    socket.setTimeout(1000, () => {
      settle(false)
    })
    socket.once('connect', () => {
      settle(true)
    })
    socket.once('error', () => {
      settle(false)
    })
  })
}

function unavailable(options: { address: string }, cause?: unknown): BelayError {
  return new BelayError({
    code: 'unavailable',
    message: `Temporal at ${options.address} does not answer`,
    retryable: true,
    cause,
  })
}
