/** What a step may use, and how it shows that it wanted more. */
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { readText } from './cgroup-files.ts'

export interface StepLimits {
  memoryBytes?: number
  /** Processes and threads. */
  pids?: number
}

export interface StruckLimit {
  limit: 'memory' | 'pids'
  message: string
}

/** In one hierarchy: what it has no controller for is set in another. */
export function setLimits(directory: string, { memoryBytes, pids }: StepLimits): void {
  const set = (file: string, value: number) => {
    const path = join(directory, file)
    if (existsSync(path)) writeFileSync(path, String(value))
  }
  if (pids !== undefined) set('pids.max', pids)
  if (memoryBytes === undefined) return
  // What is swapped out counts as used: first the memory alone, since the sum may not be below it.
  set('memory.limit_in_bytes', memoryBytes)
  set('memory.memsw.limit_in_bytes', memoryBytes)
  set('memory.max', memoryBytes)
  set('memory.swap.max', 0)
}

/** A kill by the machine's own lack of memory is counted in the group too, but its limit was not reached then. */
export function findStruck(directory: string, { memoryBytes, pids }: StepLimits): StruckLimit[] {
  const struck: StruckLimit[] = []
  const events = readCounts(join(directory, 'memory.events'))
  const killed = (events['oom_kill'] ?? 0) + (readCounts(join(directory, 'memory.oom_control'))['oom_kill'] ?? 0)
  if (memoryBytes !== undefined && killed > 0) {
    const reached = (events['oom'] ?? 0) > 0 || mostUsed(directory) > memoryBytes - nearlyBytes
    const message = reached
      ? `killed: used more than its ${formatBytes(memoryBytes)} of memory`
      : 'killed: the machine ran out of memory'
    struck.push({ limit: 'memory', message })
  }
  if (pids !== undefined && (readCounts(join(directory, 'pids.events'))['max'] ?? 0) > 0) {
    struck.push({
      limit: 'pids',
      message: `could not start more processes: the limit of ${String(pids)} processes was reached`,
    })
  }
  return struck
}

/** Lines of a name and a number. */
function readCounts(file: string): Record<string, number> {
  const pairs = readText(file)
    .split('\n')
    .map((line) => line.split(' '))
  return Object.fromEntries(pairs.map(([name = '', count]) => [name, Number(count)]))
}

/** Of version 1, which does not count on every kernel how often its limit was reached. */
function mostUsed(directory: string): number {
  return Math.max(readNumber(directory, 'memory.max_usage_in_bytes'), readNumber(directory, 'memory.memsw.max_usage_in_bytes'))
}
/** Memory is taken in pages, the larger of which have 2 MiB. */
const nearlyBytes = 2 * 1024 ** 2

function readNumber(directory: string, file: string): number {
  return Number(readText(join(directory, file)))
}

function formatBytes(bytes: number): string {
  for (const [unit, size] of [
    ['GiB', 1024 ** 3],
    ['MiB', 1024 ** 2],
    ['KiB', 1024],
  ] as const)
    if (bytes % size === 0) return `${String(bytes / size)} ${unit}`
  return `${String(bytes)} bytes`
}
