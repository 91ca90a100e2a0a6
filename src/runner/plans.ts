/** Plans by digest: from memory, from this runner's disk, else from the server, which vouches for them. */
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { BelayError } from '../domain/errors.ts'
import { Plan } from '../domain/plan.ts'
import { Digest } from '../domain/step.ts'
import { writeFileDurably } from '../process/durable-file.ts'
import { hasCode, retryWhileAway } from './retry.ts'
import type { ServerClient } from './server-client.ts'

export interface Plans {
  /** Waits for the server as long as the signal allows. Throws `refused` if it knows no such plan. */
  load(digest: string, signal: AbortSignal): Promise<Plan>
  /** Removes what nobody asked for in the last week. */
  sweep(): void
}

const keptInMemory = 32
const keptMs = 7 * 24 * 3_600_000

export function createPlans(directory: string, server: Pick<ServerClient, 'fetchPlan'>): Plans {
  const memory = new Map<string, Plan>()
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  return {
    async load(digest, signal) {
      const file = join(directory, `${Digest.parse(digest).replace(':', '-')}.json`)
      const known = memory.get(digest) ?? readPlan(file)
      const plan = known ?? (await fetchPlan(server, digest, signal))
      if (known === undefined) writeFileDurably(file, JSON.stringify(plan))
      memory.delete(digest)
      memory.set(digest, plan)
      for (const oldest of memory.keys()) if (memory.size > keptInMemory) memory.delete(oldest)
      return plan
    },
    sweep() {
      for (const name of readdirSync(directory)) {
        const file = join(directory, name)
        if (statSync(file).mtimeMs < Date.now() - keptMs) rmSync(file, { force: true })
      }
    },
  }
}

async function fetchPlan(server: Pick<ServerClient, 'fetchPlan'>, digest: string, signal: AbortSignal): Promise<Plan> {
  try {
    return await retryWhileAway(async () => await server.fetchPlan(digest, signal), { signal })
  } catch (error) {
    if (!hasCode(error, 'not_found')) throw error
    throw new BelayError({ code: 'refused', message: `the server knows no plan ${digest}`, cause: error })
  }
}

function readPlan(file: string): Plan | undefined {
  try {
    return Plan.parse(JSON.parse(readFileSync(file, 'utf8')))
  } catch {
    // Not here, or of an older shape: the server has it.
    return undefined
  }
}
