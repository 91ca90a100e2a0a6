import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { System } from '../../test/helpers/system.ts'

/**
 * Requests as the applications themselves counted them: those that were stopped said so in their logs, the one that
 * serves is asked. Neither counts health probes or the asking.
 */
export async function countedByApplications(system: System): Promise<number> {
  const logs = join(system.data, 'keeper/logs/production')
  const stopped = readdirSync(logs).flatMap((name) => {
    const text = readFileSync(join(logs, name), 'utf8')
    return [...text.matchAll(/has stopped after (\d+) requests/g)].map(([, counted]) => Number(counted))
  })
  const response = await fetch(`${system.edge}/stats`)
  const { requests } = (await response.json()) as { requests: number }
  return stopped.reduce((sum, counted) => sum + counted, requests)
}
