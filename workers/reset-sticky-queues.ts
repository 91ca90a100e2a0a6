import { isGrpcServiceError, WorkflowNotFoundError, type Client } from '@temporalio/client'

/** gRPC's NOT_FOUND. */
const notFound = 5

interface ResetOptions {
  workflowIds: readonly string[]
  /** Default: 10. */
  atOnce?: number
  /** After this time no more are begun. Default: 2 s. */
  withinMs?: number
}

/**
 * Tasks that wait for the memory of a control that is gone go back to the shared queue at once. That saves each workflow a
 * second, so with many of them it is given up when it would cost more: the rest comes by itself. Gives how many were asked
 * for.
 */
export async function resetStickyQueues(client: Client, options: ResetOptions): Promise<number> {
  const { workflowIds, atOnce = 10, withinMs = 2_000 } = options
  const deadline = performance.now() + withinMs
  let next = 0
  const work = async () => {
    while (next < workflowIds.length && performance.now() < deadline) {
      const workflowId = workflowIds[next] ?? ''
      next += 1
      await reset(client, workflowId)
    }
  }
  await Promise.all(Array.from({ length: atOnce }, work))
  return next
}

async function reset(client: Client, workflowId: string): Promise<void> {
  try {
    const { runId, status } = await client.workflow.getHandle(workflowId).describe()
    // Ended from outside: nothing of it waits for us.
    if (status.name !== 'RUNNING') return
    await client.workflowService.resetStickyTaskQueue({ namespace: client.options.namespace, execution: { workflowId, runId } })
  } catch (error) {
    // Queued and not yet started, or ended just now: there is nothing to reset.
    if (!isNotFound(error)) throw error
  }
}

function isNotFound(error: unknown): boolean {
  if (error instanceof WorkflowNotFoundError) return true
  if (!isGrpcServiceError(error)) return false
  const code: number = error.code
  return code === notFound
}
