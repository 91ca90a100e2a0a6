/** The processes of this machine, as /proc shows them. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'

export interface SeenProcess {
  pid: number
  parent: number
  command: string
  /** Empty if it may not be read. */
  directory: string
  environment: Map<string, string>
}

/** Without zombies, and without us. What ends meanwhile is left out. */
export function listProcesses(): SeenProcess[] {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name))
  return pids.flatMap((pid) => (Number(pid) === process.pid ? [] : (readProcess(Number(pid)) ?? [])))
}

function readProcess(pid: number): SeenProcess | undefined {
  const place = `/proc/${String(pid)}`
  const stat = read(`${place}/stat`)
  const [state, parent] = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  if (stat === '' || state === 'Z' || state === 'X') return undefined
  const variables = read(`${place}/environ`).split('\0')
  return {
    pid,
    parent: Number(parent),
    command: read(`${place}/cmdline`).replaceAll('\0', ' ').trim(),
    directory: readLink(`${place}/cwd`),
    environment: new Map(variables.map((text) => [text.split('=', 1)[0] ?? '', text.slice(text.indexOf('=') + 1)])),
  }
}

/** These and all that descend from them. */
export function withDescendants(pids: readonly number[], processes: readonly SeenProcess[]): Set<number> {
  const family = new Set(pids)
  for (let grown = true; grown;) {
    const before = family.size
    for (const { pid, parent } of processes) if (family.has(parent)) family.add(pid)
    grown = family.size > before
  }
  return family
}

/** TCP ports that it listens on. */
export function listeningPorts(pid: number): number[] {
  const sockets = new Set(readNames(`/proc/${String(pid)}/fd`).map((fd) => readLink(`/proc/${String(pid)}/fd/${fd}`)))
  const rows = ['tcp', 'tcp6'].flatMap((table) =>
    read(`/proc/${String(pid)}/net/${table}`)
      .split('\n')
      .slice(1),
  )
  return rows.flatMap((row) => {
    const [, local = '', , state, , , , , , inode] = row.trim().split(/\s+/)
    return state === '0A' && sockets.has(`socket:[${String(inode)}]`) ? [Number.parseInt(local.split(':')[1] ?? '', 16)] : []
  })
}

function read(file: string): string {
  try {
    return readFileSync(file, 'latin1')
  } catch {
    // It has ended, or is not ours to look into.
    return ''
  }
}

function readLink(file: string): string {
  try {
    return readlinkSync(file)
  } catch {
    // As above.
    return ''
  }
}

function readNames(directory: string): string[] {
  try {
    return readdirSync(directory)
  } catch {
    // As above.
    return []
  }
}
