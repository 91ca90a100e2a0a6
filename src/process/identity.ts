/**
 * Which process is meant. A pid alone may have been given to a stranger; a pid with its start time and the boot's id
 * cannot. Linux reads /proc; elsewhere `ps` answers.
 */
import { execFileSync } from 'node:child_process'
import { readFileSync, readdirSync } from 'node:fs'

export interface ProcessIdentity {
  pid: number
  /** Clock ticks since boot (Linux), or what `ps -o lstart=` says. */
  startTime: string
  bootId: string
}

let bootIdOnce: string | undefined

export function bootId(): string {
  bootIdOnce ??= readBootId()
  return bootIdOnce
}

function readBootId(): string {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
  } catch {
    // Not Linux: start times there are dates, so a reboot cannot repeat one.
    return 'none'
  }
}

/** The identity of a live process; undefined if there is none of that pid, or only a zombie. */
export function findIdentity(pid: number): ProcessIdentity | undefined {
  const startTime = process.platform === 'linux' ? startTimeFromProc(pid) : startTimeFromPs(pid)
  return startTime === undefined ? undefined : { pid, startTime, bootId: bootId() }
}

/**
 * The identity of a child in the tick of its spawn. It may have ended already: its pid is still its own until its parent
 * has read its end, and its group may live on.
 */
export function identifyChild(pid: number): ProcessIdentity | undefined {
  const startTime = process.platform === 'linux' ? statFieldsOf(pid)?.[19] : startTimeFromPs(pid)
  return startTime === undefined ? undefined : { pid, startTime, bootId: bootId() }
}

function startTimeFromProc(pid: number): string | undefined {
  const fields = statFieldsOf(pid)
  return fields === undefined || isDead(fields) ? undefined : fields[19]
}

/** Fields of /proc/PID/stat from the state on: state, parent, group, … */
function statFieldsOf(pid: number): string[] | undefined {
  try {
    const stat = readFileSync(`/proc/${String(pid)}/stat`, 'utf8')
    // The command name is in parentheses and may hold anything; the fields after the last one are safe to split.
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  } catch {
    return undefined
  }
}

function isDead(fields: string[]): boolean {
  return fields[0] === 'Z' || fields[0] === 'X'
}

/** Its process group; undefined if it has ended, or where there is no /proc. */
export function processGroupOf(pid: number): number | undefined {
  const group = statFieldsOf(pid)?.[2]
  return group === undefined ? undefined : Number(group)
}

/** Does the group hold anything but zombies? (A zombie answers signals until its parent has read its end.) */
export function groupHasLiveMember(group: number): boolean {
  if (process.platform !== 'linux') return true
  return listPids().some((pid) => {
    const fields = statFieldsOf(pid)
    return fields !== undefined && Number(fields[2]) === group && !isDead(fields)
  })
}

function listPids(): number[] {
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .map(Number)
}

function startTimeFromPs(pid: number): string | undefined {
  try {
    const text = execFileSync('ps', ['-o', 'lstart=', '-p', String(pid)], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    return text.trim() || undefined
  } catch {
    return undefined
  }
}

export function isAlive(identity: ProcessIdentity): boolean {
  const now = findIdentity(identity.pid)
  return now !== undefined && now.startTime === identity.startTime && now.bootId === identity.bootId
}

/**
 * Signals the process group that this process leads. Returns false if nothing of that group is left. A group outlives
 * its leader, so a dead leader's group is signalled too, unless its pid was given to somebody else.
 */
export function signalGroup(identity: ProcessIdentity, signal: NodeJS.Signals | 0): boolean {
  if (identity.bootId !== bootId()) return false
  const now = findIdentity(identity.pid)
  if (now !== undefined && now.startTime !== identity.startTime) return false
  try {
    process.kill(-identity.pid, signal)
    return true
  } catch {
    return false
  }
}

/** Pids of all processes that carry this variable in their environment. Empty where there is no /proc. */
export function findTagged(name: string, value: string): number[] {
  if (process.platform !== 'linux') return []
  const wanted = `${name}=${value}`
  return listPids().filter((pid) => pid !== process.pid && environmentOf(pid).includes(wanted) && findIdentity(pid) !== undefined)
}

function environmentOf(pid: number): string[] {
  try {
    return readFileSync(`/proc/${String(pid)}/environ`, 'latin1').split('\0')
  } catch {
    return []
  }
}
