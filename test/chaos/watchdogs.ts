/** Processes beside the runners that kill steps when their runner is silent; none where a build has no such thing. */
import { readFileSync, readdirSync } from 'node:fs'
import { runnerNames, type Cluster } from '../helpers/cluster.ts'

export function findWatchdogs(cluster: Cluster): number[] {
  const runners = runnerNames.flatMap((name) => (cluster.isGone(name) ? [] : [cluster.pid(name)]))
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .map(Number)
    .filter((pid) => runners.includes(parentOf(pid)) && isWatchdog(pid))
}

function parentOf(pid: number): number {
  const stat = read(`/proc/${String(pid)}/stat`)
  return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1])
}

/** False for one that is gone. */
export function isWatchdog(pid: number): boolean {
  return read(`/proc/${String(pid)}/cmdline`).includes('watchdog')
}

/** Empty for one that has just gone. */
function read(file: string): string {
  try {
    return readFileSync(file, 'latin1')
  } catch {
    return ''
  }
}
