import { z } from 'zod'
import { BelayError } from '../../domain/errors.ts'
import { createKeeperClient } from './keeper-client.ts'

const Listed = z.object({ names: z.array(z.string()) })

/**
 * Has the keeper give up the environments that are configured no longer, a renamed one's old name too: traffic is taken off,
 * what runs is drained and stopped, the edge is closed. Containers of an engine stay. Throws what the keeper does.
 */
export async function removeEnvironments(options: {
  socket: string
  configured: readonly string[]
  say: (line: string) => void
}): Promise<void> {
  const { socket, configured, say } = options
  const keeper = createKeeperClient(socket)
  const { names } = await keeper.call(Listed, 'GET', '/environments').catch(noneIfOlder)
  for (const name of names.filter((candidate) => !configured.includes(candidate))) {
    await keeper.call(z.unknown(), 'DELETE', `/environments/${encodeURIComponent(name)}`)
    say(`environment ${name} is configured no longer: its edge is closed, what ran there was drained and stopped`)
  }
}

/** A keeper that lives on from an older Belay does not understand the question. */
function noneIfOlder(error: unknown): z.infer<typeof Listed> {
  if (error instanceof BelayError && error.code === 'not_found') return { names: [] }
  throw error
}
