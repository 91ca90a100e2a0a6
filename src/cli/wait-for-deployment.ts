import type { Client } from '../api/client.ts'
import type { Deployment } from '../domain/environment.ts'
import { BelayError } from '../domain/errors.ts'
import type { Io } from './io.ts'

/** How long no server may answer before the wait ends with that. */
const giveUpAfterMs = 60_000
const pauseMs = 500

/** What has become of a person's rollback or deployment; undefined if the user stopped watching, and told so. */
export async function waitForDeployment(
  client: Client,
  { environment, requestId }: { environment: string; requestId: string },
  io: Io,
): Promise<Deployment | undefined> {
  const { signal } = io
  let heardAt = performance.now()
  while (!signal.aborted) {
    try {
      const found = await findDeployment(client, environment, requestId)
      if (found !== undefined && found.status !== 'running') return found
      heardAt = performance.now()
    } catch (error) {
      // A server that is being restarted is waited for.
      const passes = error instanceof BelayError && error.retryable && performance.now() - heardAt < giveUpAfterMs
      if (!passes) throw error
    }
    await new Promise((resolve) => setTimeout(resolve, pauseMs))
  }
  io.err(`\nit goes on; \`belay envs ${environment}\` shows what becomes of it\n`)
  io.exitWith(130)
  return undefined
}

/** Newest first, and one that has just been asked for is among the newest. */
async function findDeployment(client: Client, environment: string, requestId: string): Promise<Deployment | undefined> {
  const { items } = await client.listDeployments(environment)
  return items.find((deployment) => deployment.requestId === requestId)
}
