/** The files of a cgroup: who is in it, killing all of it, removing it. Either version of the hierarchy. */
import { existsSync, readFileSync, readdirSync, rmdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** Kills what is in the group, and removes it and all below it. Gone already: fine. */
export async function endDirectory(directory: string): Promise<void> {
  await killDirectory(directory)
  for (let tries = 0; tries < mostTries && existsSync(directory); tries += 1) {
    for (const group of [...groupsBelow(directory).reverse(), directory]) removeIfEmpty(group)
    if (existsSync(directory)) await pause(10)
  }
}
/** A group is busy for a moment after its last process has gone. */
const mostTries = 100

/** SIGKILL to all in the group and below it, until nothing is left; what forks meanwhile is killed too. */
export async function killDirectory(directory: string): Promise<void> {
  while (allMembersOf(directory).length > 0) {
    for (const group of [directory, ...groupsBelow(directory)]) killOnce(group)
    if (allMembersOf(directory).length > 0) await pause(10)
  }
}

/** Nothing forks while it is being killed, or is killed by the kernel itself, where the hierarchy can do that. */
function killOnce(directory: string): void {
  if (write(directory, 'cgroup.kill', '1')) return
  const frozen = write(directory, 'cgroup.freeze', '1') || write(directory, 'freezer.state', 'FROZEN')
  if (!frozen) write(directory, 'pids.max', '0')
  for (const pid of membersOf(directory)) {
    try {
      process.kill(pid, 'SIGKILL')
    } catch {
      // It has ended meanwhile.
    }
  }
  if (frozen && !write(directory, 'cgroup.freeze', '0')) write(directory, 'freezer.state', 'THAWED')
}

/** False where the hierarchy has no such file, or the group has gone. */
function write(directory: string, file: string, value: string): boolean {
  const path = join(directory, file)
  // Without it a file would be made where the group was.
  if (!existsSync(path)) return false
  try {
    writeFileSync(path, value, { flag: 'r+' })
    return true
  } catch {
    return false
  }
}

/** Pids in the group and below it, zombies left out. */
export function allMembersOf(directory: string): number[] {
  return [directory, ...groupsBelow(directory)].flatMap(membersOf)
}

/** Of the group itself. */
export function membersOf(directory: string): number[] {
  return readText(join(directory, 'cgroup.procs'))
    .split('\n')
    .flatMap((line) => (line === '' || line === '0' ? [] : [Number(line)]))
}

/** All groups below, parents before children: a step that is root may have made some. */
function groupsBelow(directory: string): string[] {
  return childrenOf(directory).flatMap((child) => [child, ...groupsBelow(child)])
}

export function childrenOf(directory: string): string[] {
  try {
    return readdirSync(directory, { withFileTypes: true }).flatMap((entry) =>
      entry.isDirectory() ? [join(directory, entry.name)] : [],
    )
  } catch {
    // Gone, or never there.
    return []
  }
}

export function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    // The hierarchy has no such file, or the group has gone.
    return ''
  }
}

export function removeIfEmpty(directory: string): void {
  try {
    rmdirSync(directory)
  } catch {
    // Not empty, or gone: what is left is ended by the next life.
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
