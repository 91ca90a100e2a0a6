/** What a machine's service manager does: whatever has died is started again, a moment later. */
import { machineNames, type Cluster, type PartName, type StartedName } from '../helpers/cluster.ts'
import { firstOf, pause } from './pause.ts'

export interface Reviver {
  /** Leaves the part dead for so long, once it is. */
  hold(part: PartName, ms: number): void
  /** Is it there, and has it said that it is ready? */
  isUp(part: PartName): boolean
  /** Starts nothing any more. */
  stop(): Promise<void>
}

const lookMs = 100

export function startReviver(cluster: Cluster, { say, signal }: { say(line: string): void; signal: AbortSignal }): Reviver {
  const stopping = new AbortController()
  const over = firstOf(signal, stopping.signal)
  const held = new Map<PartName, number>()
  const starting = new Set<StartedName>()
  const starts = new Set<Promise<void>>()

  async function start(part: StartedName): Promise<void> {
    starting.add(part)
    try {
      await cluster.start(part)
    } catch (error) {
      // It may have died again, or Temporal is away: it is tried again.
      say(`${part} did not start: ${String(error).split('\n')[0] ?? ''}`)
    }
    starting.delete(part)
  }

  async function look(): Promise<void> {
    while (!over.aborted) {
      for (const part of ['postgres', 'temporal', ...machineNames] as const) {
        if (starting.has(part) || !cluster.isGone(part) || Date.now() < (held.get(part) ?? 0)) continue
        const work = start(part).finally(() => starts.delete(work))
        starts.add(work)
      }
      await pause(lookMs, over)
    }
  }

  const looking = look()
  return {
    hold: (part, ms) => void held.set(part, Date.now() + ms),
    isUp: (part) => !cluster.isGone(part) && !(starting as ReadonlySet<PartName>).has(part),
    async stop() {
      stopping.abort()
      await looking
      await Promise.all(starts)
    },
  }
}
